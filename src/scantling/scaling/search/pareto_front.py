"""Figure of the Pareto front: accuracy proxy over latency or MACs."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from ...reports import COLORS, new_figure, plain_text, to_png
from .budget import show_value
from .candidate_search import SearchResult

_SCALES = {"latency": (1e3, "predicted latency, ms"), "MACs": (1e-9, "GMACs for one image")}


def draw_pareto_front(
    results: Sequence[SearchResult],
    labels: Sequence[str] = (),
    *,
    colors: Sequence[str] = COLORS[:6],
) -> bytes:
    """Draw the Pareto front of the first result, and mark the choice of each; PNG bytes.

    Args:
        results: of the same axis; the candidates of the first are drawn.
        labels: of the choices; their models' names if there are none.
        colors: of the choices, again from the first after the last.
    """
    first = results[0]
    factor, name = _SCALES[first.axis]
    figure, (axes,) = new_figure(7.4, 4.6)
    x = np.array([one.values[first.axis] for one in first.front]) * factor
    y = np.array([one.accuracy_proxy for one in first.front])
    axes.step(x, y, where="post", color="#999999", linewidth=1.0, zorder=1)
    axes.scatter(x, y, s=10, color="#777777", zorder=2, label="no cheaper one is as good")
    for place, result in enumerate(results):
        _mark(
            axes,
            result,
            factor,
            colors[place % len(colors)],
            labels[place] if labels else result.spec.name,
        )
    axes.set(xscale="log")
    axes.set_xlabel(name)
    axes.set_ylabel("accuracy proxy (YOLOv4-CSP at 640: 100); no AP")
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    return to_png(figure)


def _mark(axes: Axes, result: SearchResult, factor: float, color: str, label: str) -> None:
    """Mark the choice of a result with its error bar, and its limit as a line."""
    own = result.costs.values[result.axis]
    low, high = result.costs.bars.get(result.axis, (own, own))
    text = f"{plain_text(label)}: {show_value(result.axis, own)}"
    axes.errorbar(
        own * factor,
        result.costs.accuracy_proxy,
        xerr=[[(own - low) * factor], [(high - own) * factor]],
        fmt="o",
        markersize=8,
        capsize=4,
        color=color,
        zorder=4,
        label=text,
    )
    limit = result.budget.limits.get(result.axis)
    if limit is not None:
        axes.axvline(limit * factor, color=color, linestyle="--", linewidth=0.9, zorder=1)
