"""Which detections overlap which objects: all pairs above an IoU, without a loop over boxes."""

from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..structures import IntArray
from .found import Found
from .truth import Truth

Columns = NDArray[np.float64]
Flags = NDArray[np.bool_]

_AT_ONCE = 1 << 20  # pairs whose IoU is computed together: bounds the memory


@dataclass(frozen=True, eq=False)
class Pairs:
    """Detections and objects of one image that overlap, P pairs, a column a property."""

    found: IntArray  # (P,) places in Found, ascending
    truth: IntArray  # (P,) places in Truth; for one detection ascending
    iou: Columns  # (P,)

    def __len__(self) -> int:
        return len(self.iou)

    def take(self, which: Flags | IntArray) -> "Pairs":
        """Some of them, in the order given."""
        return Pairs(*(getattr(self, field.name)[which] for field in fields(self)))


def overlapping_pairs(
    truth: Truth, found: Found, *, min_iou: float, any_class: bool = False, inclusive: bool = False
) -> Pairs:
    """All pairs of a detection and an object of its image whose IoU is at least `min_iou`.

    For a crowd, the share of the detection that lies in it stands for the IoU, as in COCO.

    Args:
        truth: the objects.
        found: the detections.
        min_iou: pairs below are left out; pairs that do not touch always are.
        any_class: pair whatever the class; else only with objects of the detection's class.
        inclusive: count the last pixel in, as VOC does: a box from 1 to 3 is 3 wide.
    """
    kinds = 1 if any_class else max(1, len(truth.names))
    truth_key = truth.image_index * kinds + (0 if any_class else truth.labels)
    found_key = found.image_index * kinds + (0 if any_class else found.labels)
    order = np.argsort(truth_key, kind="stable")
    starts = np.searchsorted(truth_key[order], found_key, side="left")
    counts = np.searchsorted(truth_key[order], found_key, side="right") - starts
    parts = []
    for first, last in _chunks(counts):
        rows = np.repeat(np.arange(first, last), counts[first:last])
        inside = np.arange(len(rows)) - np.repeat(
            np.cumsum(counts[first:last]) - counts[first:last], counts[first:last]
        )
        columns = order[starts[rows] + inside]
        iou = _row_iou(truth, found, rows, columns, inclusive)
        kept = (iou >= min_iou) & (iou > 0)
        parts.append(Pairs(rows[kept], columns[kept], iou[kept]))
    none = np.empty(0, np.int64)
    parts.append(Pairs(none, none, np.empty(0)))
    return Pairs(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Pairs))
    )


def _chunks(counts: IntArray) -> list[tuple[int, int]]:
    """Ranges of detections that make about `_AT_ONCE` pairs each; one detection is never split."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    if total == 0:
        return []
    cuts = np.searchsorted(ends, np.arange(_AT_ONCE, total, _AT_ONCE)) + 1
    edges = np.unique(np.concatenate([[0], cuts, [len(counts)]])).tolist()
    return list(pairwise(edges))


def _row_iou(
    truth: Truth, found: Found, rows: IntArray, columns: IntArray, inclusive: bool
) -> Columns:
    """(P,) IoU of detection `rows[i]` with object `columns[i]`."""
    extra = 1.0 if inclusive else 0.0
    left = found.boxes[rows]
    right = truth.boxes[columns]
    high = np.minimum(left[:, :2] + left[:, 2:], right[:, :2] + right[:, 2:])
    low = np.maximum(left[:, :2], right[:, :2])
    shared = np.clip(high - low + extra, 0, None).prod(axis=1)
    own = (left[:, 2:] + extra).prod(axis=1)
    union = np.where(truth.crowd[columns], own, own + (right[:, 2:] + extra).prod(axis=1) - shared)
    iou: Columns = np.divide(shared, union, out=np.zeros(len(rows)), where=union > 0)
    return iou


def first_come(priority_pairs: Pairs) -> Flags:
    """(P,) which pairs a greedy one-to-one assignment keeps, earlier pairs before later ones.

    A pair that comes first for both its detection and its object is kept, and every other pair of
    either falls away; this repeats until none is left, and equals going through the list.
    """
    kept = np.zeros(len(priority_pairs), np.bool_)
    left = np.arange(len(priority_pairs))
    found, truth = priority_pairs.found, priority_pairs.truth
    first_found = np.zeros(found.max(initial=-1) + 1, np.int64)
    first_truth = np.zeros(truth.max(initial=-1) + 1, np.int64)
    taken_found = np.zeros(len(first_found), np.bool_)
    taken_truth = np.zeros(len(first_truth), np.bool_)
    while len(left):
        # written from the last to the first, the first one stays
        first_found[found[left[::-1]]] = left[::-1]
        first_truth[truth[left[::-1]]] = left[::-1]
        chosen = left[(first_found[found[left]] == left) & (first_truth[truth[left]] == left)]
        kept[chosen] = True
        taken_found[found[chosen]] = True
        taken_truth[truth[chosen]] = True
        left = left[~(taken_found[found[left]] | taken_truth[truth[left]])]
    return kept
