"""An evaluation protocol: the best F1 of each class over all score thresholds, at an IoU of 0.5."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scantling.evaluation.error_analysis import Curve, compute_curves
from scantling.evaluation.matching import match_detections
from scantling.evaluation.protocol import Protocol, Row
from scantling.evaluation.tables import DetectionTable, GroundTruth


@dataclass(frozen=True)
class MaxF1Result:
    """The curve of each class, in the order of the labels."""

    curves: tuple[Curve, ...]

    @property
    def stats(self) -> Mapping[str, float]:
        """The mean over the classes that have objects; -1 where none has."""
        defined = [curve.best_f1 for curve in self.curves if curve.objects]
        return {"max F1": float(np.mean(defined)) if defined else -1.0}

    def class_stats(self) -> tuple[tuple[str, ...], list[Row]]:
        """F1 and its threshold for each class; None where it has no objects."""
        rows = [
            (curve.best_f1, curve.best_score) if curve.objects else (None, None)
            for curve in self.curves
        ]
        return ("max F1", "at score"), rows

    def mean_precision(self, _: NDArray[np.float64]) -> None:
        """Nothing is kept at fixed recalls: the page draws the curves of every protocol."""

    def describe(self) -> str:
        """One line for the terminal."""
        return f" max F1 = {self.stats['max F1']:.4f}"


def compute(truth: GroundTruth, detections: DetectionTable, protocol: Protocol) -> MaxF1Result:
    """Match once, at the protocol's IoU, then follow every class down its scores."""
    matching = match_detections(truth, detections, iou=protocol.ious[0])
    return MaxF1Result(tuple(compute_curves(truth, detections, matching).classes))


MAX_F1 = Protocol(
    name="max-f1",
    title="max F1",
    crowds="crowds and difficult objects ignored",
    compute=compute,
    min_score=0.001,
    ious=(0.5,),
    nms="greedy",
    nms_iou=0.45,
    points=0,
    fixed_points=True,
)
