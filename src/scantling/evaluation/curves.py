"""Precision, recall and F1 over the score threshold, per class and overall."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..structures import IntArray
from .matching import Matching
from .tables import DetectionTable, GroundTruth

Columns = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Curve:
    """True and false positives over the score threshold; S distinct scores, highest first.

    Args:
        name: of the class; `all` for the one over all classes.
        objects: how many there are to find.
        scores: (S,) thresholds, descending: a detection counts from this score on.
        true_positives: (S,) objects found.
        false_positives: (S,) detections of nothing.
    """

    name: str
    objects: int
    scores: Columns
    true_positives: IntArray
    false_positives: IntArray

    @property
    def precision(self) -> Columns:
        """(S,) TP / (TP + FP); 1 without detections."""
        claims = self.true_positives + self.false_positives
        ratio: Columns = np.divide(
            self.true_positives, claims, out=np.ones(len(claims)), where=claims > 0
        )
        return ratio

    @property
    def recall(self) -> Columns:
        """(S,) TP / objects; 0 without objects."""
        return self.true_positives / max(1, self.objects)

    @property
    def f1(self) -> Columns:
        """(S,) harmonic mean of precision and recall."""
        total = self.true_positives + self.false_positives + self.objects
        ratio: Columns = np.divide(
            2 * self.true_positives, total, out=np.zeros(len(total)), where=total > 0
        )
        return ratio

    @property
    def best_index(self) -> int | None:
        """Index of the highest F1, of equals the highest score; None without detections."""
        return int(self.f1.argmax()) if len(self.scores) else None

    @property
    def best_score(self) -> float | None:
        """Score threshold of the highest F1; None without detections."""
        return None if self.best_index is None else float(self.scores[self.best_index])

    @property
    def best_f1(self) -> float:
        """Highest F1; 0 without detections."""
        return 0.0 if self.best_index is None else float(self.f1[self.best_index])

    def at(self, min_scores: Columns) -> tuple[Columns, Columns, Columns]:
        """Precision, recall and F1 at the given thresholds, each in the shape of `min_scores`.

        Above the highest score there are no detections: precision 1, recall and F1 0.
        """
        place = np.searchsorted(-self.scores, -np.asarray(min_scores), side="right")
        return (
            np.concatenate([[1.0], self.precision])[place],
            np.concatenate([[0.0], self.recall])[place],
            np.concatenate([[0.0], self.f1])[place],
        )


@dataclass(frozen=True, eq=False)
class Curves:
    """Curves over all classes together and of each class, by label."""

    overall: Curve
    classes: tuple[Curve, ...]
    iou: float


def compute_curves(truth: GroundTruth, detections: DetectionTable, matching: Matching) -> Curves:
    """Compute the curves of a matching, without crowds and difficult objects."""
    counted = ~matching.ignored
    order = np.flatnonzero(counted)[np.argsort(-detections.scores[counted], kind="stable")]
    scores, labels, right = (
        detections.scores[order],
        detections.labels[order],
        matching.true_positive[order],
    )
    objects = np.bincount(truth.labels[~truth.ignored], minlength=len(truth.names)).tolist()
    by_class = np.argsort(labels, kind="stable")
    edges = np.searchsorted(labels[by_class], np.arange(len(truth.names) + 1)).tolist()
    classes = tuple(
        _curve(name, objects[label], scores[own], right[own])
        for label, name in enumerate(truth.names)
        for own in [by_class[edges[label] : edges[label + 1]]]
    )
    return Curves(_curve("all", sum(objects), scores, right), classes, matching.iou)


def _curve(name: str, objects: int, scores: Columns, right: Flags) -> Curve:
    """Curve of detections sorted by score, one point for each distinct score."""
    last = np.flatnonzero(np.diff(scores, append=-np.inf))
    hits = np.cumsum(right, dtype=np.int64)[last]
    return Curve(name, objects, scores[last], hits, last + 1 - hits)
