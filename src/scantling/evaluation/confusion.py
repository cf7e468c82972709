"""Which class is taken for which: one-to-one by IoU over all classes, with the background."""

from dataclasses import dataclass

import numpy as np

from ..structures import IntArray
from .found import Found
from .matching import assigned
from .pairs import overlapping_pairs
from .truth import Truth


@dataclass(frozen=True, eq=False)
class Confusion:
    """Objects against detections.

    Args:
        names: of the K classes, by label.
        counts: (K + 1, K + 1): a row is what an object is, a column what it was taken for. The last
            column counts objects that were missed, the last row detections of nothing.
        min_score: detections below were left out.
        iou: what a pair needed at least.
    """

    names: tuple[str, ...]
    counts: IntArray
    min_score: float
    iou: float

    def most_confused(self, count: int = 10) -> list[tuple[str, str, int]]:
        """(what it is, what it was taken for, how often), the most frequent first."""
        size = len(self.names)
        mixed = self.counts[:size, :size] * (1 - np.eye(size, dtype=np.int64))
        order = np.argsort(-mixed, axis=None, kind="stable")[:count]
        rows, columns = np.unravel_index(order, mixed.shape)
        return [
            (self.names[row], self.names[column], int(mixed[row, column]))
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
            if mixed[row, column]
        ]


def confusion_matrix(
    truth: Truth, found: Found, *, min_score: float = 0.25, iou: float = 0.5
) -> Confusion:
    """Pair objects and detections of an image, the highest IoU first, whatever their classes.

    At equal IoU a detection of the right class goes first, then the better score. Crowds and
    difficult objects are no row; a detection that pairs with nothing else and lies on one is not
    counted.

    Args:
        truth: what is labelled.
        found: what was detected.
        min_score: detections below are left out.
        iou: a pair needs at least this.
    """
    found = found.above(min_score)
    pairs = overlapping_pairs(truth, found, min_iou=iou, any_class=True)
    real = ~truth.ignored[pairs.truth]
    regular = pairs.take(real)
    other = truth.labels[regular.truth] != found.labels[regular.found]
    order = np.lexsort((-found.scores[regular.found], other, -regular.iou))
    matching = assigned(len(found), regular.take(order), beside=pairs.take(~real), iou=iou)

    size = len(truth.names) + 1
    seen = np.zeros(len(truth), np.bool_)
    seen[matching.object_of[matching.right]] = True
    missed = truth.labels[~seen & ~truth.ignored]
    alarms = found.labels[matching.wrong]
    rows = [
        truth.labels[matching.object_of[matching.right]],
        missed,
        np.full(len(alarms), size - 1),
    ]
    columns = [found.labels[matching.right], np.full(len(missed), size - 1), alarms]
    flat = np.concatenate(rows) * size + np.concatenate(columns)
    counts = np.bincount(flat, minlength=size * size).reshape(size, size)
    return Confusion(truth.names, counts.astype(np.int64), min_score, iou)
