"""The sizes of a data set's boxes as a scatter, with the anchors that are to fit them."""

from typing import Any

import numpy as np
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

from ..reports import COLORS, new_figure, to_png
from ..structures import FloatArray
from .anchors import Anchors

SHOWN = 20_000  # boxes, evenly taken from all of them


def draw_anchors(boxes: FloatArray, own: Anchors | None, fitted: Anchors, *, title: str) -> bytes:
    """A PNG of every box by its width and height, and of the anchors among them.

    Args:
        boxes: (T, 2) width, height in pixels of the network's input.
        own: the anchors of a model, if there is one.
        fitted: those fitted to the boxes.
        title: above it.
    """
    figure, (axes,) = new_figure(6.6, 6.0)
    step = max(1, -(-len(boxes) // SHOWN))
    widths, heights = boxes[::step].T
    axes.scatter(widths, heights, s=6, color="#888888", alpha=0.25, linewidths=0, label="boxes")
    if own is not None:
        label = f"the model's own: recall {own.recall:.1%}, fitness {own.fitness:.3f}"
        hollow: dict[str, Any] = {"facecolors": "none", "edgecolors": COLORS[1], "linewidths": 1.6}
        axes.scatter(own.sizes[:, 0], own.sizes[:, 1], s=70, marker="s", label=label, **hollow)
    label = f"fitted: recall {fitted.recall:.1%}, fitness {fitted.fitness:.3f}"
    axes.scatter(
        fitted.sizes[:, 0],
        fitted.sizes[:, 1],
        s=70,
        marker="x",
        color=COLORS[0],
        linewidths=2,
        label=label,
    )
    drawn = np.concatenate([boxes, fitted.sizes] + ([own.sizes] if own is not None else []))
    limits = max(1.0, float(drawn.min()) / 1.3), float(drawn.max()) * 1.3
    axes.set(
        xscale="log",
        yscale="log",
        xlim=limits,
        ylim=limits,
        xlabel="width, pixels of the input",
        ylabel="height, pixels of the input",
    )
    sides = [2**power for power in range(15) if limits[0] <= 2**power <= limits[1]]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator(sides))
        axis.set_major_formatter(ScalarFormatter())
        axis.set_minor_locator(NullLocator())
    axes.set_aspect("equal")
    axes.set_title(title)
    axes.legend(loc="upper left", frameon=True, fontsize="small")
    return to_png(figure)
