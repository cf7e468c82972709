"""The result of an evaluation: all metrics, their tables, settings and timings."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..datasets.dataset import Dataset
from ..errors import InvalidValue, lookup
from ..inference.predictor import StageSeconds
from ..specs.classes import ClassMatch
from .coco import COCO_AREAS
from .error_analysis import (
    Confusion,
    Curves,
    ImageScore,
    compute_curves,
    confusion_matrix,
    rank_images,
)
from .matching import Matching, match_detections
from .protocol import Protocol, ProtocolResult, Row
from .protocols import PROTOCOLS
from .tables import DetectionTable, GroundTruth

MATCH_IOU = 0.5  # of curves, confusion and drawn images
FALLBACK_SCORE = 0.25  # where nothing was found, and so no threshold is the best
SIZES = ("small", "medium", "large")
RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, eq=False)
class Metrics:
    """All metrics of detections against ground truth.

    Args:
        truth: the labelled objects.
        detections: all of them.
        protocol: whose rules.
        result: what the protocol computes.
        matching: which detection belongs to which object, at an IoU of 0.5.
        curves: precision, recall and F1 over the score, from that.
        confusion: which class was taken for which, from `best_score` on.
        ranking: every image, the best first, judged by its F1 from `best_score` on.
        best_score: the threshold at which F1 over all classes is the highest.
    """

    truth: GroundTruth
    detections: DetectionTable
    protocol: Protocol
    result: ProtocolResult
    matching: Matching
    curves: Curves
    confusion: Confusion
    ranking: tuple[ImageScore, ...]
    best_score: float

    @property
    def stats(self) -> dict[str, float | None]:
        """The protocol's metrics by name; None where there is nothing that they are of."""
        return {name: _defined(value) for name, value in self.result.stats.items()}

    @property
    def objects(self) -> NDArray[np.int64]:
        """(K,) number of each class's objects, without crowds and difficult ones."""
        counted = self.truth.labels[~self.truth.ignored]
        return np.bincount(counted, minlength=len(self.truth.names))


def compute_metrics(truth: GroundTruth, detections: DetectionTable, protocol: Protocol) -> Metrics:
    """Compute all metrics.

    Args:
        truth: the labelled objects.
        detections: all of them.
        protocol: whose rules.
    """
    matching = match_detections(truth, detections, iou=MATCH_IOU)
    curves = compute_curves(truth, detections, matching)
    best = curves.overall.best_score
    score = FALLBACK_SCORE if best is None else best
    return Metrics(
        truth=truth,
        detections=detections,
        protocol=protocol,
        result=protocol.compute(truth, detections, protocol),
        matching=matching,
        curves=curves,
        confusion=confusion_matrix(truth, detections, min_score=score, iou=MATCH_IOU),
        ranking=tuple(rank_images(truth, detections, matching, min_score=score)),
        best_score=score,
    )


@dataclass(frozen=True)
class Seconds(StageSeconds):
    """Timings: of each stage the mean per image; the rest are totals.

    Args:
        images: for all images, by the clock.
        evaluation: for all metrics.
    """

    images: float = 0.0
    evaluation: float = 0.0


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Result of evaluating a model on a data set, with all that the metrics depend on.

    Args:
        dataset: what was evaluated on: its images, and the objects that were looked for.
        images: how many the data has, looked at or not.
        metrics: every figure.
        classes: which class of the model is which of the data; None for detections from a file.
        model: what made the detections, as names and values to be shown.
        unreadable: (path, problem) of images that could not be read: nothing was found in them.
        seconds: where the time went.
    """

    dataset: Dataset
    images: int
    metrics: Metrics
    classes: ClassMatch | None
    model: Mapping[str, str]
    unreadable: tuple[tuple[str, str], ...] = ()
    seconds: Seconds = field(default_factory=Seconds)

    @property
    def result(self) -> ProtocolResult:
        """The protocol's own result, such as a `CocoResult`."""
        return self.metrics.result

    @property
    def stats(self) -> dict[str, float | None]:
        """The protocol's metrics by name: `AP`, `AP50`, …; `mAP` for VOC and darknet.

        None where there is no object that counts, such as `APsmall` without small ones.
        """
        return self.metrics.stats

    @property
    def per_class(self) -> dict[str, float | None]:
        """AP of each class of the data, by name, as the protocol has it; None without objects."""
        _, rows = self.result.class_stats()
        return {
            name: cast(float | None, row[0])
            for name, row in zip(self.metrics.truth.names, rows, strict=True)
        }

    @property
    def detections(self) -> DetectionTable:
        """The detections."""
        return self.metrics.detections

    @property
    def protocol_line(self) -> str:
        """The protocol in one line, which answers "which AP is this?"."""
        return self.metrics.protocol.describe()


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
    return {size: metrics.stats[f"AP{size}"] for size in SIZES}, counts


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


def choose_protocol(protocol: str | Protocol, *, points: int | None = None) -> Protocol:
    """Look up a protocol by name.

    Args:
        protocol: a name in `PROTOCOLS`; or a protocol, which is returned as it is.
        points: of recall where precision is read, in place of the protocol's own.

    Raises:
        UnknownName: no such protocol.
        InvalidValue: the protocol has no other number of points.
    """
    chosen = protocol if isinstance(protocol, Protocol) else lookup(PROTOCOLS, protocol, "protocol")
    if points is None or points == chosen.points:
        return chosen
    if chosen.fixed_points:
        expected = f"{chosen.points}, which {chosen.name} is defined by; or protocol darknet"
        raise InvalidValue("points", points, expected)
    return replace(chosen, points=points)
