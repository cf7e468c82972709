"""Match detections to objects: overlapping pairs and greedy one-to-one assignment."""

from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..structures import IntArray
from .tables import DetectionTable, GroundTruth

Columns = NDArray[np.float64]
Flags = NDArray[np.bool_]

_AT_ONCE = 1 << 20  # pairs whose IoU is computed together: bounds the memory


@dataclass(frozen=True, eq=False)
class Pairs:
    """P overlapping pairs of a detection and an object, one column per property."""

    detections: IntArray  # (P,) places in the table, ascending
    truth: IntArray  # (P,) places in the table; for one detection ascending
    iou: Columns  # (P,)

    def __len__(self) -> int:
        return len(self.iou)

    def take(self, which: Flags | IntArray) -> "Pairs":
        """Select pairs by a mask or indices, in the order given."""
        return Pairs(*(getattr(self, field.name)[which] for field in fields(self)))


def overlapping_pairs(
    truth: GroundTruth,
    detections: DetectionTable,
    *,
    min_iou: float,
    class_agnostic: bool = False,
    inclusive: bool = False,
) -> Pairs:
    """Find all pairs of a detection and an object of its image with at least `min_iou`.

    For a crowd, the share of the detection that lies in it stands for the IoU, as in COCO.

    Args:
        truth: the objects.
        detections: the detections.
        min_iou: pairs below are left out; pairs that do not touch always are.
        class_agnostic: pair whatever the class; else only with objects of the detection's class.
        inclusive: count the last pixel in, as VOC does: a box from 1 to 3 is 3 wide.
    """
    kinds = 1 if class_agnostic else max(1, len(truth.names))
    truth_key = truth.image_index * kinds + (0 if class_agnostic else truth.labels)
    detection_key = detections.image_index * kinds + (0 if class_agnostic else detections.labels)
    order = np.argsort(truth_key, kind="stable")
    starts = np.searchsorted(truth_key[order], detection_key, side="left")
    counts = np.searchsorted(truth_key[order], detection_key, side="right") - starts
    parts = []
    for first, last in _chunks(counts):
        rows = np.repeat(np.arange(first, last), counts[first:last])
        inside = np.arange(len(rows)) - np.repeat(
            np.cumsum(counts[first:last]) - counts[first:last], counts[first:last]
        )
        columns = order[starts[rows] + inside]
        iou = _row_iou(truth, detections, rows, columns, inclusive)
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
    truth: GroundTruth,
    detections: DetectionTable,
    rows: IntArray,
    columns: IntArray,
    inclusive: bool,
) -> Columns:
    """(P,) IoU of detection `rows[i]` with object `columns[i]`."""
    extra = 1.0 if inclusive else 0.0
    left = detections.boxes[rows]
    right = truth.boxes[columns]
    high = np.minimum(left[:, :2] + left[:, 2:], right[:, :2] + right[:, 2:])
    low = np.maximum(left[:, :2], right[:, :2])
    shared = np.clip(high - low + extra, 0, None).prod(axis=1)
    own = (left[:, 2:] + extra).prod(axis=1)
    union = np.where(truth.crowd[columns], own, own + (right[:, 2:] + extra).prod(axis=1) - shared)
    iou: Columns = np.divide(shared, union, out=np.zeros(len(rows)), where=union > 0)
    return iou


def greedy_one_to_one(priority_pairs: Pairs) -> Flags:
    """(P,) mask of the pairs that a greedy one-to-one assignment keeps, earlier ones first.

    A pair that comes first for both its detection and its object is kept, and every other pair of
    either falls away; this repeats until none is left, and equals going through the list.
    """
    kept = np.zeros(len(priority_pairs), np.bool_)
    left = np.arange(len(priority_pairs))
    detections, truth = priority_pairs.detections, priority_pairs.truth
    first_detection = np.zeros(detections.max(initial=-1) + 1, np.int64)
    first_truth = np.zeros(truth.max(initial=-1) + 1, np.int64)
    taken_detection = np.zeros(len(first_detection), np.bool_)
    taken_truth = np.zeros(len(first_truth), np.bool_)
    while len(left):
        # written from the last to the first, the first one stays
        first_detection[detections[left[::-1]]] = left[::-1]
        first_truth[truth[left[::-1]]] = left[::-1]
        chosen = left[
            (first_detection[detections[left]] == left) & (first_truth[truth[left]] == left)
        ]
        kept[chosen] = True
        taken_detection[detections[chosen]] = True
        taken_truth[truth[chosen]] = True
        left = left[~(taken_detection[detections[left]] | taken_truth[truth[left]])]
    return kept


@dataclass(frozen=True, eq=False)
class Matching:
    """Matches of D detections to T objects.

    Leaving out the detections below a score changes nothing for the others.

    Args:
        matched_object: (D,) index of the object that a detection matches; -1 for none.
        ignored: (D,) whether it counts neither as right nor as wrong: it lies on a crowd, or on a
            difficult object.
        iou: the threshold.
    """

    matched_object: IntArray
    ignored: Flags
    iou: float

    @property
    def true_positive(self) -> Flags:
        """(D,) whether a detection matches an object."""
        return self.matched_object >= 0

    @property
    def false_positive(self) -> Flags:
        """(D,) whether a detection matches no object."""
        return (self.matched_object < 0) & ~self.ignored


def match_detections(
    truth: GroundTruth,
    detections: DetectionTable,
    *,
    iou: float = 0.5,
    class_agnostic: bool = False,
) -> Matching:
    """Match detections to objects: best score first, each to its free object of highest IoU.

    This is COCO's rule for one threshold and no limit of detections. Crowds and difficult objects
    are nobody's to find: a detection that finds nothing else and overlaps one is ignored.

    Args:
        truth: the labelled objects.
        detections: all of them.
        iou: a pair needs at least this.
        class_agnostic: whether an object of another class will do.
    """
    # COCO's own limit: two equal boxes may come out a little under 1
    pairs = overlapping_pairs(
        truth, detections, min_iou=min(iou, 1 - 1e-10), class_agnostic=class_agnostic
    )
    real = ~truth.ignored[pairs.truth]
    regular = pairs.take(real)
    # at equal IoU COCO takes the last object
    order = np.lexsort(
        (-regular.truth, -regular.iou, regular.detections, -detections.scores[regular.detections])
    )
    return assign_greedily(len(detections), regular.take(order), beside=pairs.take(~real), iou=iou)


def assign_greedily(count: int, ranked: Pairs, *, beside: Pairs, iou: float) -> Matching:
    """Match ranked pairs greedily, one-to-one.

    Args:
        count: of detections, D.
        ranked: pairs with objects that count, those to be kept first at the front.
        beside: pairs with objects that do not count.
        iou: the threshold that the pairs passed.
    """
    kept = ranked.take(greedy_one_to_one(ranked))
    object_of = np.full(count, -1, np.int64)
    object_of[kept.detections] = kept.truth
    ignored = np.zeros(count, np.bool_)
    ignored[beside.detections] = True
    return Matching(object_of, ignored & (object_of < 0), iou)
