"""Tables of an evaluation: metrics by class, AP by size, precision over recall."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .coco import COCO_AREAS
from .metrics import Metrics
from .protocol import Row

SIZES = ("small", "medium", "large")
RECALLS = np.linspace(0, 1, 101)


def class_table(metrics: Metrics) -> tuple[tuple[str, ...], list[Row]]:
    """Column names, and a row for each class that has objects or detections.

    The threshold is the score from which on the F1 of the class is the highest; precision and
    recall are those there, at an IoU of 0.5. A metric is None where it is undefined.
    """
    curves = metrics.curves.classes
    objects = metrics.objects.tolist()
    names, stats = metrics.result.class_stats()
    rows: list[Row] = []
    for name, count, figures, curve in zip(
        metrics.truth.names, objects, stats, curves, strict=True
    ):
        if not count and not len(curve.scores):
            continue
        best: Row = (None,) * 4
        if curve.best_index is not None and curve.best_f1 > 0:
            place = curve.best_index
            best = (
                float(curve.scores[place]),
                float(curve.precision[place]),
                float(curve.recall[place]),
                float(curve.f1[place]),
            )
        rows.append((name, count, *figures, *best))
    return ("class", "objects", *names, "threshold", "precision", "recall", "F1"), rows


def ap_by_size(metrics: Metrics) -> tuple[dict[str, float | None], dict[str, int]]:
    """AP and number of small, medium and large objects; empty where the protocol has none."""
    if any(f"AP{size}" not in metrics.stats for size in SIZES):
        return {}, {}
    areas = metrics.truth.areas[~metrics.truth.ignored]
    counts = {
        size: int(((areas >= COCO_AREAS[size][0]) & (areas < COCO_AREAS[size][1])).sum())
        for size in SIZES
    }
    return {size: _defined(metrics.stats[f"AP{size}"]) for size in SIZES}, counts


def mean_precision(metrics: Metrics) -> NDArray[np.float64]:
    """(T, 101) precision at each IoU and recall, mean of all classes.

    NaN where no class has objects.
    """
    computed = metrics.result.mean_precision(RECALLS)
    if computed is not None:
        return computed
    known = [curve for curve in metrics.curves.classes if curve.objects]
    if not known:
        return np.full((1, len(RECALLS)), np.nan)
    rows = np.array([_interpolated(curve.recall, curve.precision) for curve in known])
    mean: NDArray[np.float64] = rows.mean(axis=0, keepdims=True)
    return mean


def _interpolated(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> Any:
    """Interpolated precision: the highest at each of `RECALLS` or beyond."""
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    return np.append(highest, 0.0)[np.searchsorted(recall, RECALLS, side="left")]


def _defined(value: float) -> float | None:
    return value if value >= 0 else None
