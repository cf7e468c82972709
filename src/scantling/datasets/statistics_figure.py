"""The statistics of a data set as one picture: classes, objects an image, sizes, shapes."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..reports import plain_text
from .dataset import Columns
from .statistics import MEDIUM, SMALL, Statistics

SHOWN_CLASSES = 40
DOTS_PER_INCH = 110


def draw_statistics(splits: Sequence[Statistics]) -> bytes:
    """Four charts, the splits side by side in each, as a PNG.

    Args:
        splits: one or more, of the same classes or not.
    """
    names = _frequent_classes(splits)
    figure = Figure(figsize=(14, max(8.0, 1.5 + 0.22 * len(names))), layout="constrained")
    FigureCanvasAgg(figure)  # draws without a screen
    grid = figure.add_gridspec(3, 2)
    _draw_classes(figure.add_subplot(grid[:, 0]), splits, names)
    _draw_per_image(figure.add_subplot(grid[0, 1]), splits)
    _draw_sides(figure.add_subplot(grid[1, 1]), splits)
    _draw_aspects(figure.add_subplot(grid[2, 1]), splits)
    data = BytesIO()
    figure.savefig(data, format="png", dpi=DOTS_PER_INCH)
    return data.getvalue()


def _frequent_classes(splits: Sequence[Statistics]) -> list[str]:
    totals: dict[str, int] = {}
    for one in splits:
        for found in one.classes:
            totals[found.name] = totals.get(found.name, 0) + found.objects
    shown = [name for name, count in totals.items() if count]
    return sorted(shown, key=lambda name: -totals[name])[:SHOWN_CLASSES]


def _draw_classes(axes: Axes, splits: Sequence[Statistics], names: list[str]) -> None:
    places = np.arange(len(names))
    thickness = 0.8 / len(splits)
    for number, one in enumerate(splits):
        counts = {found.name: found.objects for found in one.classes}
        widths = [counts.get(name, 0) for name in names]
        offset = (number - (len(splits) - 1) / 2) * thickness
        color = f"C{number % 10}"
        axes.barh(places + offset, widths, thickness, label=plain_text(one.split), color=color)
    axes.set_yticks(places, [plain_text(name) for name in names], fontsize=8)
    axes.set_ylim(max(len(names), 1) - 0.5, -0.5)
    axes.set_xscale("symlog")
    hidden = max(len(one.classes) for one in splits) - len(names)
    axes.set_title(
        "objects of each class"
        + (f" ({hidden} rarer or without objects not shown)" if hidden > 0 else "")
    )
    axes.legend()


def _draw_per_image(axes: Axes, splits: Sequence[Statistics]) -> None:
    longest = max(len(one.objects_per_image) for one in splits)
    edges = np.unique(np.linspace(0, max(longest, 1), min(longest, 50) + 1).round()) - 0.5
    for number, one in enumerate(splits):
        counts = np.arange(len(one.objects_per_image), dtype=np.float64)
        _steps(
            axes,
            counts,
            edges,
            number,
            one.split,
            weights=np.array(one.objects_per_image, np.float64),
        )
    axes.set(title="objects in an image", xlabel="objects", ylabel="share of the images")


def _draw_sides(axes: Axes, splits: Sequence[Statistics]) -> None:
    edges = np.geomspace(1, 4096, 49)
    for number, one in enumerate(splits):
        _steps(axes, np.clip(one.sides, 1, 4095), edges, number, f"{one.split}, in the image")
        if one.image_size is not None:
            height, width = one.image_size
            label = f"{one.split}, on an input of {height}×{width}"
            _steps(axes, np.clip(one.input_sides, 1, 4095), edges, number, label, dashed=True)
    for limit in (SMALL, MEDIUM):
        axes.axvline(limit, color="grey", linestyle=":")
    axes.set_xscale("log", base=2)
    axes.set(title="size of objects", xlabel="square root of the area of the box, pixels")
    axes.set_ylabel("share of the objects")
    axes.legend(fontsize=8)


def _draw_aspects(axes: Axes, splits: Sequence[Statistics]) -> None:
    edges = np.geomspace(1 / 16, 16, 49)
    for number, one in enumerate(splits):
        _steps(axes, np.clip(one.aspects, 1 / 15.9, 15.9), edges, number, one.split)
    axes.set_xscale("log", base=2)
    axes.set(title="shape of objects", xlabel="width by height", ylabel="share of the objects")


def _steps(
    axes: Axes,
    values: Columns,
    edges: Columns,
    number: int,
    label: str,
    *,
    weights: Columns | None = None,
    dashed: bool = False,
) -> None:
    """A histogram as a line, scaled to shares, so that splits of any size can be compared."""
    counts, _ = np.histogram(values, bins=edges, weights=weights)
    shares = counts / max(1.0, float(counts.sum()))
    style = "--" if dashed else "-"
    axes.stairs(shares, edges, label=plain_text(label), linestyle=style, color=f"C{number % 10}")
