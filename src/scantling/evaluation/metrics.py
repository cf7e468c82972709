"""Compute all metrics of an evaluation from the ground truth and the detections."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .curves import Curves, compute_curves
from .detection_table import DetectionTable
from .error_analysis import Confusion, ImageScore, confusion_matrix, rank_images
from .ground_truth import GroundTruth
from .matching import Matching, match_detections
from .protocol import Protocol, ProtocolResult

MATCH_IOU = 0.5  # of curves, confusion and drawn images
FALLBACK_SCORE = 0.25  # where nothing was found, and so no threshold is the best


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
    def stats(self) -> dict[str, float]:
        """The protocol's metrics by name; -1 where undefined."""
        return dict(self.result.stats)

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
