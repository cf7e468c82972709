"""The VOC2007, VOC2012 and darknet protocols: average precision at one IoU.

Sources: the VOC2007 and VOC2012 development kits, http://host.robots.ox.ac.uk/pascal/VOC/;
darknet's `detector map` for what differs there.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidValue
from ..structures import IntArray
from .matching import Pairs, overlapping_pairs
from .protocol import OF_THE_MODEL, Protocol, Row
from .tables import DetectionTable, GroundTruth

Columns = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class VocResult:
    """Average precision per class at one IoU. K classes.

    Args:
        names: of the classes, by label.
        iou: the threshold.
        points: of recall where precision is read; 0 is the area under the curve.
        ap: (K,) from 0 to 1; NaN where VOC defines none, as the class has no object.
        objects: (K,) how many there are to find, difficult ones left out.
        true_positives: (K,) objects found, at whatever score.
        false_positives: (K,) detections of nothing, at whatever score.
        mean_ap: over the classes that have one; -1 where none has.
    """

    names: tuple[str, ...]
    iou: float
    points: int
    ap: Columns
    objects: IntArray
    true_positives: IntArray
    false_positives: IntArray
    mean_ap: float

    @property
    def stats(self) -> dict[str, float]:
        """mAP; -1 where no class has objects."""
        return {"mAP": self.mean_ap}

    def class_stats(self) -> tuple[tuple[str, ...], list[Row]]:
        """Column names, and the AP of each class; None where undefined."""
        return ("AP",), [(value if value >= 0 else None,) for value in self.ap.tolist()]

    def mean_precision(self, _: Columns) -> None:
        """VOC keeps no precision at fixed recalls."""

    def describe(self) -> str:
        """mAP in one line."""
        known = int((self.ap >= 0).sum())
        if self.mean_ap < 0:
            return f" mAP@{self.iou:.2f} = –: no class has an object that counts"
        return f" mAP@{self.iou:.2f} = {self.mean_ap:.4f}, the mean of {known} classes"


def evaluate_voc(
    truth: GroundTruth,
    detections: DetectionTable,
    *,
    points: int = 0,
    iou: float = 0.5,
    inclusive: bool = False,
) -> VocResult:
    """Compute VOC's AP, by 11 points of recall (VOC2007) or by the area (VOC2010 to 2012).

    A detection belongs to the object of its class that it overlaps most. If that one is difficult
    (or a crowd) the detection does not count; if it was found before, by a better score, the
    detection is wrong.

    Args:
        truth: the labelled objects.
        detections: all of them.
        points: 11 for VOC2007, 0 for the area; 101 and others are possible.
        iou: what a detection needs at least.
        inclusive: whether the far edge of a box is its last pixel, so that a box is one pixel wider
            than its corners tell, as in the development kit. Boxes of a `Dataset` end after their
            last pixel: the kit's figure then comes out with False.

    Raises:
        InvalidValue: `points` is 1 or negative.
    """
    pairs = overlapping_pairs(truth, detections, min_iou=iou, inclusive=inclusive)
    best = _best_of_each(pairs)
    ignored = np.zeros(len(detections), np.bool_)
    skipped = truth.ignored[best.truth]
    ignored[best.detections[skipped]] = True
    claims = np.full(len(detections), -1, np.int64)
    claims[best.detections[~skipped]] = best.truth[~skipped]
    return _result(truth, detections, claims, ignored, points, iou)


def evaluate_darknet(
    truth: GroundTruth,
    detections: DetectionTable,
    *,
    points: int = 0,
    iou: float = 0.5,
    min_score: float = 0.005,
) -> VocResult:
    """Compute mAP as `darknet detector map` does.

    It differs from VOC in this: a pair needs more than the IoU, not as much; a detection on a
    difficult object is left out only where it overlaps no other; and a class without objects has
    AP 0 and counts in the mean. Releases of darknet differ in one thing more: some leave out the
    area before the very first hit of all classes; it is counted here. Without a single object
    there is no AP here either.

    Args:
        truth: the labelled objects.
        detections: what was detected, after NMS at 0.45 for darknet's own figure.
        points: 0 for the area, 11 or 101 points of recall: darknet's `-points`.
        iou: darknet's `-iou_thresh`.
        min_score: detections at or below are left out.

    Raises:
        InvalidValue: `points` is 1 or negative.
    """
    detections = detections.take(detections.scores > min_score)
    pairs = overlapping_pairs(truth, detections, min_iou=iou)
    pairs = pairs.take(pairs.iou > iou)
    skipped = truth.ignored[pairs.truth]
    best = _best_of_each(pairs.take(~skipped))
    claims = np.full(len(detections), -1, np.int64)
    claims[best.detections] = best.truth
    ignored = np.zeros(len(detections), np.bool_)
    ignored[pairs.detections[skipped]] = True
    result = _result(truth, detections, claims, ignored & (claims < 0), points, iou)
    if not result.objects.any():  # darknet prints 0, which says that nothing was found
        return result
    ap = np.nan_to_num(result.ap, nan=0.0)
    return replace(result, ap=ap, mean_ap=float(ap.mean()))


def _best_of_each(pairs: Pairs) -> Pairs:
    """Keep each detection's pair of highest IoU; of equals the first object."""
    order = np.lexsort((pairs.truth, -pairs.iou, pairs.detections))
    first = np.flatnonzero(np.diff(pairs.detections[order], prepend=-1))
    return pairs.take(order[first])


def _result(
    truth: GroundTruth,
    detections: DetectionTable,
    claims: IntArray,
    ignored: Flags,
    points: int,
    iou: float,
) -> VocResult:
    """AP of every class, from the object that each detection claims, or -1 for none."""
    if points < 0 or points == 1:
        raise InvalidValue("points", points, "0 for the area, or 2 and more, 11 and 101 say")
    kinds = len(truth.names)
    order = np.lexsort((-detections.scores, detections.labels))
    order = order[~ignored[order]]
    claimed, labels = claims[order], detections.labels[order]
    # the first in order of score takes the object, the others are wrong
    right = np.zeros(len(order), np.bool_)
    _, first = np.unique(claimed, return_index=True)
    right[first] = True
    right &= claimed >= 0
    objects = np.bincount(truth.labels[~truth.ignored], minlength=kinds)
    hits = np.bincount(labels[right], minlength=kinds)
    edges = np.searchsorted(labels, np.arange(kinds + 1)).tolist()
    ap = np.full(kinds, np.nan)
    for label in np.flatnonzero(objects).tolist():
        own = right[edges[label] : edges[label + 1]]
        ap[label] = average_precision(own, int(objects[label]), points=points)
    defined = ap[objects > 0]
    return VocResult(
        truth.names,
        iou,
        points,
        ap,
        objects,
        hits,
        np.bincount(labels[~right], minlength=kinds),
        float(defined.mean()) if len(defined) else -1.0,
    )


def average_precision(right: Flags, objects: int, *, points: int = 0) -> float:
    """Average precision of detections sorted by score.

    Args:
        right: (D,) whether each found an object, best score first.
        objects: how many there are to find; at least 1.
        points: of recall, equally spaced from 0 to 1, where the highest precision at that recall or
            beyond is read; 0 for the area under that highest precision.
    """
    hits = np.cumsum(right)
    recall = hits / objects
    precision = hits / np.arange(1, len(right) + 1)
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    if points == 0:
        return float((np.diff(recall, prepend=0.0) * highest).sum())
    wanted = np.arange(points) / (points - 1)
    place = np.searchsorted(recall, wanted, side="left")
    return float(np.append(highest, 0.0)[place].sum() / points)


def _compute_voc(truth: GroundTruth, detections: DetectionTable, protocol: Protocol) -> VocResult:
    return evaluate_voc(
        truth,
        detections,
        points=protocol.points,
        iou=protocol.ious[0],
        inclusive=protocol.inclusive,
    )


def _compute_darknet(
    truth: GroundTruth, detections: DetectionTable, protocol: Protocol
) -> VocResult:
    return evaluate_darknet(
        truth,
        detections,
        points=protocol.points,
        iou=protocol.ious[0],
        min_score=protocol.lowest_score,
    )


VOC12 = Protocol(
    name="voc12",
    title="VOC2012 AP",
    crowds="difficult objects and crowds ignored",
    compute=_compute_voc,
    min_score=0.001,
    ious=(0.5,),
    nms="greedy",
    nms_iou=0.45,
    points=0,
)
VOC07 = replace(VOC12, name="voc07", title="VOC2007 AP", points=11, fixed_points=True)
DARKNET = replace(
    VOC12,
    name="darknet",
    title="darknet mAP",
    crowds="difficult objects and crowds ignored unless another object overlaps",
    compute=_compute_darknet,
    min_score=0.005,
    nms=OF_THE_MODEL,  # `darknet detector map` goes by the cfg's nms_kind
    cuts_files=True,
)
