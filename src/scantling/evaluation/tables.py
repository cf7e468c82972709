"""Tables and lines of an evaluation: a row a class, AP by size, precision over recall."""

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .coco import COCO_AREAS, CocoResult
from .judge import Judged

Row = tuple[str | int | float | None, ...]

SIZES = ("small", "medium", "large")
RECALLS = np.linspace(0, 1, 101)


def class_table(judged: Judged) -> tuple[tuple[str, ...], list[Row]]:
    """Column names, and the row of each class that has objects or detections.

    The threshold is the score from which on the F1 of the class is the highest; precision and
    recall are those there, at an IoU of 0.5. A figure is None where there is nothing to measure.
    """
    curves = judged.curves.classes
    objects = judged.objects.tolist()
    if isinstance(judged.result, CocoResult):
        names: tuple[str, ...] = ("AP", "AP50", "AP75", *(f"AP {size}" for size in SIZES), "AR")
        figures: list[Row] = [
            tuple(_defined(value) for name, value in asdict(one).items() if name != "name")
            for one in judged.result.per_class()
        ]
    else:
        names = ("AP",)
        figures = [(value,) for value in judged.class_ap]
    rows: list[Row] = []
    for name, count, figure, curve in zip(
        judged.truth.names, objects, figures, curves, strict=True
    ):
        if not count and not len(curve.scores):
            continue
        best: Row = (None,) * 4
        if curve.best is not None and curve.best_f1 > 0:
            place = curve.best
            best = (
                float(curve.scores[place]),
                float(curve.precision[place]),
                float(curve.recall[place]),
                float(curve.f1[place]),
            )
        rows.append((name, count, *figure, *best))
    return ("class", "objects", *names, "threshold", "precision", "recall", "F1"), rows


def ap_by_size(judged: Judged) -> tuple[dict[str, float | None], dict[str, int]]:
    """COCO's AP of small, medium and large objects, and how many objects there are of each."""
    if not isinstance(judged.result, CocoResult):
        return {}, {}
    areas = judged.truth.areas[~judged.truth.ignored]
    counts = {
        size: int(((areas >= COCO_AREAS[size][0]) & (areas < COCO_AREAS[size][1])).sum())
        for size in SIZES
    }
    return {size: _defined(judged.figures[f"AP{size}"]) for size in SIZES}, counts


def mean_precision(judged: Judged) -> NDArray[np.float64]:
    """(T, 101) precision over recall for each IoU of the protocol, the mean of all classes.

    NaN where no class has objects.
    """
    if isinstance(judged.result, CocoResult):
        table = judged.result.precision[:, :, :, 0, -1]
        known = table[0, 0] > -1  # (K,) classes with objects
        table = table[:, :, known]
    else:
        known = judged.objects > 0
        curves = [
            curve for curve, is_known in zip(judged.curves.classes, known, strict=True) if is_known
        ]
        rows = [_interpolated(curve.recall, curve.precision) for curve in curves]
        table = np.array(rows).reshape(len(rows), 1, len(RECALLS)).transpose(1, 2, 0)
    if not known.any():
        return np.full(table.shape[:2], np.nan)
    mean: NDArray[np.float64] = table.mean(axis=2)
    return mean


def _interpolated(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> Any:
    """The highest precision at each of `RECALLS` or beyond."""
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    return np.append(highest, 0.0)[np.searchsorted(recall, RECALLS, side="left")]


def _defined(value: float) -> float | None:
    return value if value >= 0 else None
