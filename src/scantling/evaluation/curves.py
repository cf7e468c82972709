"""Precision, recall and F1 against the score, per class and over all."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..structures import IntArray
from .found import Found
from .matching import Matching
from .truth import Truth

Columns = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Curve:
    """How precision and recall change with the score threshold; S different scores, best first.

    Args:
        name: of the class; `all` for the one over all classes.
        objects: how many there are to find.
        scores: (S,) thresholds, descending: a detection counts from this score on.
        hits: (S,) objects found.
        false_alarms: (S,) detections of nothing.
    """

    name: str
    objects: int
    scores: Columns
    hits: IntArray
    false_alarms: IntArray

    @property
    def precision(self) -> Columns:
        """(S,) hits / (hits + false alarms); 1 where nothing was claimed."""
        claims = self.hits + self.false_alarms
        ratio: Columns = np.divide(self.hits, claims, out=np.ones(len(claims)), where=claims > 0)
        return ratio

    @property
    def recall(self) -> Columns:
        """(S,) hits / objects; 0 without objects."""
        return self.hits / max(1, self.objects)

    @property
    def f1(self) -> Columns:
        """(S,) the harmonic mean of precision and recall: 2 hits / (claims + objects)."""
        total = self.hits + self.false_alarms + self.objects
        ratio: Columns = np.divide(2 * self.hits, total, out=np.zeros(len(total)), where=total > 0)
        return ratio

    @property
    def best(self) -> int | None:
        """The place of the highest F1, of equals the highest score; None without detections."""
        return int(self.f1.argmax()) if len(self.scores) else None

    @property
    def best_score(self) -> float | None:
        """The score threshold with the highest F1; None without detections."""
        return None if self.best is None else float(self.scores[self.best])

    @property
    def best_f1(self) -> float:
        """The highest F1, 0 without detections."""
        return 0.0 if self.best is None else float(self.f1[self.best])

    def at(self, min_scores: Columns) -> tuple[Columns, Columns, Columns]:
        """Precision, recall and F1 at any thresholds, each in the shape of `min_scores`.

        Above the best score nothing is claimed: precision 1, recall and F1 0.
        """
        place = np.searchsorted(-self.scores, -np.asarray(min_scores), side="right")
        return (
            np.concatenate([[1.0], self.precision])[place],
            np.concatenate([[0.0], self.recall])[place],
            np.concatenate([[0.0], self.f1])[place],
        )


@dataclass(frozen=True, eq=False)
class Curves:
    """The curve over all classes together, and one of each class, by label."""

    overall: Curve
    classes: tuple[Curve, ...]
    iou: float


def curves_of(truth: Truth, found: Found, matching: Matching) -> Curves:
    """The curves of one matching; crowds, difficult objects and what lies on them do not count."""
    counted = ~matching.ignored
    order = np.flatnonzero(counted)[np.argsort(-found.scores[counted], kind="stable")]
    scores, labels, right = found.scores[order], found.labels[order], matching.right[order]
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
    """The curve of detections whose scores descend; equal scores make one point."""
    last = np.flatnonzero(np.diff(scores, append=-np.inf))
    hits = np.cumsum(right, dtype=np.int64)[last]
    return Curve(name, objects, scores[last], hits, last + 1 - hits)
