"""Error analysis: the confusion matrix with background, images ranked by F1, and curves.

The curves are precision, recall and F1 over the score threshold, per class and overall.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..structures import IntArray
from .matching import Matching, assign_greedily, overlapping_pairs
from .tables import DetectionTable, GroundTruth

Columns = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Confusion:
    """Confusion matrix of objects and detections.

    Args:
        names: of the K classes, by label.
        labels: (L,) of the classes that occur: of what is there or was found.
        occurring: (L + 1, L + 1): a row is what an object is, a column what it was taken for. The
            last column counts objects that were missed, the last row detections of nothing.
        min_score: detections below were left out.
        iou: what a pair needed at least.
    """

    names: tuple[str, ...]
    labels: IntArray
    occurring: IntArray
    min_score: float
    iou: float

    @property
    def counts(self) -> IntArray:
        """(K + 1, K + 1): `occurring`, with a row and a column for every class."""
        size = len(self.names) + 1
        whole = np.zeros((size, size), np.int64)
        places = [*self.labels.tolist(), size - 1]
        whole[np.ix_(places, places)] = self.occurring
        return whole

    def most_confused(self, count: int = 10) -> list[tuple[str, str, int]]:
        """Most frequent confusions: (true class, predicted class, count)."""
        rows, columns = np.nonzero(self.occurring[:-1, :-1])
        mixed = rows != columns
        rows, columns = rows[mixed], columns[mixed]
        times = self.occurring[rows, columns]
        names = [self.names[label] for label in self.labels.tolist()]
        return [
            (names[rows[place]], names[columns[place]], int(times[place]))
            for place in np.argsort(-times, kind="stable")[:count].tolist()
        ]


def confusion_matrix(
    truth: GroundTruth, detections: DetectionTable, *, min_score: float = 0.25, iou: float = 0.5
) -> Confusion:
    """Compute the confusion matrix: match by IoU, highest first, whatever the classes.

    At equal IoU a detection of the right class goes first, then the better score. Crowds and
    difficult objects are no row; a detection that pairs with nothing else and lies on one is not
    counted.

    Args:
        truth: the labelled objects.
        detections: all of them.
        min_score: detections below are left out.
        iou: a pair needs at least this.
    """
    detections = detections.above(min_score)
    pairs = overlapping_pairs(truth, detections, min_iou=iou, class_agnostic=True)
    real = ~truth.ignored[pairs.truth]
    regular = pairs.take(real)
    other = truth.labels[regular.truth] != detections.labels[regular.detections]
    order = np.lexsort((-detections.scores[regular.detections], other, -regular.iou))
    matching = assign_greedily(
        len(detections), regular.take(order), beside=pairs.take(~real), iou=iou
    )

    labels = np.unique(np.concatenate([truth.labels, detections.labels]))
    size = len(labels) + 1
    seen = np.zeros(len(truth), np.bool_)
    seen[matching.matched_object[matching.true_positive]] = True
    missed = truth.labels[~seen & ~truth.ignored]
    alarms = detections.labels[matching.false_positive]
    matched = truth.labels[matching.matched_object[matching.true_positive]]
    taken_for = detections.labels[matching.true_positive]
    is_row, is_column = (np.searchsorted(labels, own) for own in (matched, taken_for))
    rows = [is_row, np.searchsorted(labels, missed), np.full(len(alarms), size - 1)]
    columns = [is_column, np.full(len(missed), size - 1), np.searchsorted(labels, alarms)]
    flat = np.concatenate(rows) * size + np.concatenate(columns)
    counts = np.bincount(flat, minlength=size * size).reshape(size, size)
    return Confusion(truth.names, labels, counts.astype(np.int64), min_score, iou)


@dataclass(frozen=True)
class ImageScore:
    """True and false positives and false negatives of one image, at a score threshold.

    Args:
        image_index: the place of the image in the data set.
        true_positives: objects found.
        false_negatives: objects missed.
        false_positives: detections of nothing.
    """

    image_index: int
    true_positives: int
    false_negatives: int
    false_positives: int

    @property
    def f1(self) -> float:
        """F1 of the image; 1 where it has neither objects nor detections."""
        total = 2 * self.true_positives + self.false_negatives + self.false_positives
        return 2 * self.true_positives / total if total else 1.0


def rank_images(
    truth: GroundTruth, detections: DetectionTable, matching: Matching, *, min_score: float
) -> list[ImageScore]:
    """Rank all images by F1, best first.

    The criterion is the F1 of the image at the threshold, `Curve.best_score` say; of equals the one
    with more objects found is better, then the one with fewer mistakes. An image with nothing in it
    and nothing found is right, but comes after those where something was found.

    Args:
        truth: the labelled objects.
        detections: all of them.
        matching: of the two.
        min_score: detections below do not count.
    """
    counted = detections.scores >= min_score
    images = len(truth.image_ids)
    hits = np.bincount(detections.image_index[matching.true_positive & counted], minlength=images)
    alarms = np.bincount(
        detections.image_index[matching.false_positive & counted], minlength=images
    )
    objects = np.bincount(truth.image_index[~truth.ignored], minlength=images)
    columns = (hits.tolist(), (objects - hits).tolist(), alarms.tolist())
    scores = [ImageScore(index, *row) for index, row in enumerate(zip(*columns, strict=True))]
    return sorted(
        scores,
        key=lambda one: (
            -one.f1,
            -one.true_positives,
            one.false_negatives + one.false_positives,
            one.image_index,
        ),
    )


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
