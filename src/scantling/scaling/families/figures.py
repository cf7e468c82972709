"""The members of a family as bars: what each costs, side by side."""

from ...reports import COLORS, new_figure, plain_text, to_png
from ..search.budget import show_value
from .choice import Family

_MEASURES = ("capacity", "latency", "memory", "parameters", "MACs")
_LEAST_CAPACITY = 50.0  # where its axis begins: no model is below


def draw_bars(family: Family) -> bytes:
    """A small chart for each measure, a bar for each member, as a PNG file."""
    members = family.members
    shown = [
        name
        for name in _MEASURES
        if name == "capacity" or any(name in one.found.fit.costs.values for one in members)
    ]
    figure, charts = new_figure(
        2.1 * len(shown) + 1.2, 0.9 + 0.42 * len(members), columns=len(shown)
    )
    for place, (axes, name) in enumerate(zip(charts, shown, strict=True)):
        costs = [one.found.fit.costs for one in members]
        values = [
            one.capacity if name == "capacity" else one.values.get(name, 0.0) for one in costs
        ]
        labels = [
            f"{value:.1f}" if name == "capacity" else show_value(name, value) if value else "–"
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
        low = _LEAST_CAPACITY if name == "capacity" else 0.0
        axes.set_xlim(low, low + 1.45 * ((max(values) or 1.0) - low))
        axes.set_title(name, fontsize=9, loc="left")
    return to_png(figure)
