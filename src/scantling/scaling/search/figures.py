"""The Pareto front as a figure: capacity over what it costs."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from ...reports import COLORS, new_figure, plain_text, to_png
from .budget import show_value
from .search import Fit

_SCALES = {"latency": (1e3, "predicted latency, ms"), "MACs": (1e-9, "GMACs for one image")}


def draw_front(
    fits: Sequence[Fit], labels: Sequence[str] = (), *, colors: Sequence[str] = COLORS[:6]
) -> bytes:
    """The front of the first fit, with the choice of each marked, as a PNG file.

    Args:
        fits: of the same axis; the candidates of the first are drawn.
        labels: of the choices; their models' names if there are none.
        colors: of the choices, again from the first after the last.
    """
    first = fits[0]
    factor, name = _SCALES[first.axis]
    figure, (axes,) = new_figure(7.4, 4.6)
    x = np.array([one.values[first.axis] for one in first.front]) * factor
    y = np.array([one.capacity for one in first.front])
    axes.step(x, y, where="post", color="#999999", linewidth=1.0, zorder=1)
    axes.scatter(x, y, s=10, color="#777777", zorder=2, label="no cheaper one is as good")
    for place, fit in enumerate(fits):
        _mark(
            axes,
            fit,
            factor,
            colors[place % len(colors)],
            labels[place] if labels else fit.spec.name,
        )
    axes.set(xscale="log")
    axes.set_xlabel(name)
    axes.set_ylabel("capacity (YOLOv4-CSP at 640: 100); no AP")
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    return to_png(figure)


def _mark(axes: Axes, fit: Fit, factor: float, color: str, label: str) -> None:
    """The choice of a fit with its error bar, and its limit as a line."""
    own = fit.costs.values[fit.axis]
    low, high = fit.costs.bars.get(fit.axis, (own, own))
    text = f"{plain_text(label)}: {show_value(fit.axis, own)}"
    axes.errorbar(
        own * factor,
        fit.costs.capacity,
        xerr=[[(own - low) * factor], [(high - own) * factor]],
        fmt="o",
        markersize=8,
        capsize=4,
        color=color,
        zorder=4,
        label=text,
    )
    limit = fit.budget.limits.get(fit.axis)
    if limit is not None:
        axes.axvline(limit * factor, color=color, linestyle="--", linewidth=0.9, zorder=1)
