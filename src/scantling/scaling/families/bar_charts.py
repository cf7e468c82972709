"""Bar charts that compare the costs of a family's members."""

from ...reports import COLORS, new_figure, plain_text, to_png
from ..search.budget import show_value
from .family import Family

_MEASURES = ("accuracy proxy", "latency", "memory", "parameters", "MACs")
_LEAST_PROXY = 50.0  # where the axis of the proxy begins: no model is below


def draw_bars(family: Family) -> bytes:
    """Draw a bar chart for each measure, a bar for each member; PNG bytes."""
    members = family.members
    shown = [
        name
        for name in _MEASURES
        if name == "accuracy proxy"
        or any(name in one.scaled.search.costs.values for one in members)
    ]
    figure, charts = new_figure(
        2.1 * len(shown) + 1.2, 0.9 + 0.42 * len(members), columns=len(shown)
    )
    for place, (axes, name) in enumerate(zip(charts, shown, strict=True)):
        costs = [one.scaled.search.costs for one in members]
        values = [
            one.accuracy_proxy if name == "accuracy proxy" else one.values.get(name, 0.0)
            for one in costs
        ]
        labels = [
            f"{value:.1f}"
            if name == "accuracy proxy"
            else show_value(name, value)
            if value
            else "–"
            for value in values
        ]
        colors = [COLORS[index % 6] for index in range(len(members))]
        bars = axes.barh(range(len(members)), values, color=colors, height=0.62)
        axes.bar_label(bars, labels, padding=3, fontsize=8)
        names = [plain_text(one.name) for one in members] if place == 0 else []
        axes.set_yticks(range(len(members)) if place == 0 else [], names)
        axes.set_xticks([])
        axes.grid(visible=False)
        axes.spines["bottom"].set_visible(False)
        axes.invert_yaxis()
        low = _LEAST_PROXY if name == "accuracy proxy" else 0.0
        axes.set_xlim(low, low + 1.45 * ((max(values) or 1.0) - low))
        axes.set_title(name, fontsize=9, loc="left")
    return to_png(figure)
