"""Figures of an evaluation as PNG bytes: curves, confusion matrix, AP by size."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..reports import new_figure, plain_text, to_png
from ..reports.page import COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Values = NDArray[np.float64]

MOST_CLASSES = 25  # rows of a confusion matrix that can still be read
MOST_LINES = 40  # lines of single classes behind the mean
LONGEST_NAME = 22  # letters


def draw_precision_recall(
    recall: Values, precision: Values, *, iou_thresholds: Sequence[float], title: str
) -> bytes:
    """Draw precision over recall, mean of all classes, with a line for some IoU thresholds.

    Args:
        recall: (R,) where precision was measured.
        precision: (T, R), a row for each IoU threshold; NaN where no class has objects.
        iou_thresholds: T of them.
        title: above the figure.
    """
    figure, (axes,) = new_figure()
    shown = _every_other(len(iou_thresholds), most=6)
    colors = _shades(len(shown))
    for color, row in zip(colors, shown, strict=True):
        mean = _mean(precision[row])
        label = f"IoU {iou_thresholds[row]:.2f}: {'no objects' if mean is None else f'{mean:.3f}'}"
        axes.plot(recall, precision[row], color=color, label=label, linewidth=1.8)
    _frame(axes, title, "recall", "precision")
    axes.legend(title="area under the line", fontsize=8, title_fontsize=8, frameon=False)
    return to_png(figure)


def draw_f1(
    scores: Values,
    f1: Values,
    *,
    overall: Values,
    names: Sequence[str],
    best: tuple[float, float],
    title: str,
) -> bytes:
    """Draw F1 over the score threshold, for each class and overall.

    Args:
        scores: (S,) thresholds.
        f1: (K, S), a row for each class.
        overall: (S,) of all classes together.
        names: K of them.
        best: the threshold at which that is highest, and how high.
        title: above the figure.
    """
    figure, (axes,) = new_figure()
    few = len(names) <= len(COLORS) - 1
    for row, name in enumerate(names[:MOST_LINES]):
        color = COLORS[row + 1] if few else "#c3c9cf"
        short = plain_text(name, limit=LONGEST_NAME)
        label = short if few else "single classes" if row == 0 else None
        axes.plot(scores, f1[row], linewidth=0.9, color=color, label=label)
    axes.plot(scores, overall, color=COLORS[0], linewidth=2.4, label="all classes together")
    axes.plot(*best, marker="o", color=COLORS[0])
    axes.annotate(
        f"{best[1]:.3f} from {best[0]:.3f} on",
        best,
        xytext=(8, 8),
        textcoords="offset points",
        fontsize=9,
        bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1},
    )
    axes.legend(fontsize=8, frameon=False, loc="upper right")
    _frame(axes, title, "score from which on a detection counts", "F1")
    return to_png(figure)


def draw_confusion(counts: NDArray[np.int64], *, names: Sequence[str], title: str) -> bytes:
    """Draw the confusion matrix.

    Colours are shares of a row; the numbers are counts. Of many classes those are shown that are
    mistaken for another the most.

    Args:
        counts: (K + 1, K + 1), a row for what is there, a column for what was found; the last row
            is background that was taken for an object, the last column objects that were missed.
        names: K of them.
        title: above the figure.
    """
    shown = _most_confused(counts, most=MOST_CLASSES)
    part = counts[np.ix_([*shown, -1], [*shown, -1])]
    share = part / np.maximum(1, counts[[*shown, -1]].sum(axis=1, keepdims=True))
    side = 2.6 + 0.32 * len(part)
    figure, (axes,) = new_figure(side + 1.0, side)
    axes.grid(visible=False)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    labels = [plain_text(names[place], limit=LONGEST_NAME) for place in shown]
    axes.set_xticks(range(len(part)), [*labels, "missed"], rotation=90, fontsize=8)
    axes.set_yticks(range(len(part)), [*labels, "nothing there"], fontsize=8)
    for row, column in np.argwhere(part > 0).tolist():
        color = "white" if share[row, column] > 0.55 else "black"
        size = 7 if part[row, column] < 1000 else 5
        text = str(part[row, column])
        axes.text(column, row, text, ha="center", va="center", fontsize=size, color=color)
    axes.set_xlabel("found as")
    axes.set_ylabel("is")
    left_out = len(names) - len(shown)
    more = (
        f"\n{left_out} of {len(names)} classes, less often mistaken, left out" if left_out else ""
    )
    axes.set_title(title + more, fontsize=10)
    return to_png(figure)


def draw_bars(
    values: Mapping[str, float | None], *, counts: Mapping[str, int] | None = None, title: str
) -> bytes:
    """Draw a bar for each name, from 0 to 1, such as AP by object size.

    Args:
        values: by name; None where there is nothing to measure.
        counts: objects of each, put beneath its name.
        title: above the figure.
    """
    figure, (axes,) = new_figure(4.8, 3.6)
    bars = axes.bar(
        range(len(values)), [value or 0 for value in values.values()], color=COLORS[0], width=0.6
    )
    for bar, value in zip(bars, values.values(), strict=True):
        place = (bar.get_x() + bar.get_width() / 2, bar.get_height())
        text = "no objects" if value is None else f"{value:.3f}"
        axes.annotate(
            text, place, xytext=(0, 3), textcoords="offset points", ha="center", fontsize=9
        )
    labels = [
        name if counts is None or name not in counts else f"{name}\n{counts[name]:,} objects"
        for name in values
    ]
    axes.set_xticks(range(len(values)), labels, fontsize=9)
    axes.set_ylim(0, 1)
    axes.set_ylabel("AP")
    axes.set_title(title, fontsize=10)
    return to_png(figure)


def _frame(axes: "Axes", title: str, across: str, up: str) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.set_title(title, fontsize=10)


def _every_other(count: int, *, most: int) -> list[int]:
    """At most `most` of `count` indices, evenly spread, the first included."""
    step = max(1, -(-count // most))
    return list(range(0, count, step))


def _shades(count: int) -> list[tuple[float, float, float]]:
    """Shades from dark to light blue."""
    dark, light = np.array([0.0, 0.22, 0.4]), np.array([0.6, 0.8, 0.93])
    steps = np.linspace(0, 1, max(2, count))[:count]
    return [tuple((dark + step * (light - dark)).tolist()) for step in steps]


def _mean(values: Values) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _most_confused(counts: NDArray[np.int64], *, most: int) -> list[int]:
    """Classes to show, in order: all if they are few, else the most confused ones.

    Classes that neither are there nor were found are never shown.
    """
    classes = len(counts) - 1
    inner = counts[:classes, :classes]
    present = counts[:classes].sum(axis=1) + counts[:, :classes].sum(axis=0)
    mistaken = inner.sum(axis=1) + inner.sum(axis=0) - 2 * inner.diagonal()
    order = np.lexsort((-present, -mistaken))
    return sorted(int(place) for place in order[:most] if present[place])
