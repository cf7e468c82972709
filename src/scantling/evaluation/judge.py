"""Detections against labels: every figure of an evaluation, from two tables."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..datasets.dataset import Dataset
from ..errors import InvalidValue, lookup
from .coco import CocoResult, evaluate_coco
from .confusion import Confusion, confusion_matrix
from .curves import Curves, curves_of
from .found import Found
from .matching import Matching, match
from .protocol import PROTOCOLS, Protocol
from .truth import Truth
from .voc import VocResult, evaluate_darknet, evaluate_voc
from .worst import ImageScore, rank_images

MATCH_IOU = 0.5  # of curves, confusion and drawn images
FALLBACK_SCORE = 0.25  # where nothing was found, and so no threshold is the best


@dataclass(frozen=True, eq=False)
class Judged:
    """How good detections are.

    Args:
        truth: what is labelled.
        found: what was detected.
        protocol: whose rules.
        result: what the protocol computes.
        matching: which detection belongs to which object, at an IoU of 0.5.
        curves: precision, recall and F1 over the score, from that.
        confusion: which class was taken for which, from `best_score` on.
        ranking: every image, the best first, judged by its F1 from `best_score` on.
        best_score: the threshold at which F1 over all classes is the highest.
    """

    truth: Truth
    found: Found
    protocol: Protocol
    result: CocoResult | VocResult
    matching: Matching
    curves: Curves
    confusion: Confusion
    ranking: tuple[ImageScore, ...]
    best_score: float

    @property
    def figures(self) -> dict[str, float]:
        """The figures of the protocol by name; -1 where there is nothing to measure."""
        if isinstance(self.result, CocoResult):
            return dict(self.result.stats)
        return {"mAP": self.result.mean_ap}

    @property
    def class_ap(self) -> list[float | None]:
        """AP of each class; None where it has no objects to find."""
        if isinstance(self.result, CocoResult):
            values = [one.ap for one in self.result.per_class()]
        else:
            values = self.result.ap.tolist()
        return [value if value >= 0 else None for value in values]  # neither -1 nor NaN is

    @property
    def objects(self) -> NDArray[np.int64]:
        """(K,) objects of each class that count."""
        counted = self.truth.labels[~self.truth.ignored]
        return np.bincount(counted, minlength=len(self.truth.names))


def choose_protocol(protocol: str | Protocol, *, points: int | None = None) -> Protocol:
    """The protocol of that name.

    Args:
        protocol: a name in `PROTOCOLS`; or settings, which are returned as they are.
        points: of recall where precision is read, in place of the protocol's own.

    Raises:
        UnknownName: no such protocol.
        InvalidValue: the protocol has no other number of points.
    """
    chosen = protocol if isinstance(protocol, Protocol) else lookup(PROTOCOLS, protocol, "protocol")
    if points is None or points == chosen.points:
        return chosen
    if chosen.name in ("coco", "voc07"):
        expected = f"{chosen.points}, which {chosen.name} is defined by; or protocol darknet"
        raise InvalidValue("points", points, expected)
    return replace(chosen, points=points)


def judge(truth: Truth, found: Found, protocol: Protocol) -> Judged:
    """Compute every figure.

    Args:
        truth: what is labelled.
        found: what was detected.
        protocol: whose rules.
    """
    matching = match(truth, found, iou=MATCH_IOU)
    curves = curves_of(truth, found, matching)
    best = curves.overall.best_score
    score = FALLBACK_SCORE if best is None else best
    return Judged(
        truth=truth,
        found=found,
        protocol=protocol,
        result=_apply(truth, found, protocol),
        matching=matching,
        curves=curves,
        confusion=confusion_matrix(truth, found, min_score=score, iou=MATCH_IOU),
        ranking=tuple(rank_images(truth, found, matching, min_score=score)),
        best_score=score,
    )


def _apply(truth: Truth, found: Found, protocol: Protocol) -> CocoResult | VocResult:
    """What the protocol itself computes."""
    iou = protocol.ious[0]
    if protocol.name == "coco":
        return evaluate_coco(
            truth,
            found,
            ious=protocol.ious,
            max_detections=protocol.max_detections or (1, 10, 100),
            any_class=protocol.any_class,
        )
    if protocol.name == "darknet":
        return evaluate_darknet(
            truth, found, points=protocol.points, iou=iou, min_score=protocol.min_score
        )
    return evaluate_voc(truth, found, points=protocol.points, iou=iou, inclusive=protocol.inclusive)


def first_images(dataset: Dataset, count: int | None) -> Dataset:
    """The data set with its first images only; all of them if None."""
    if count is None or count >= len(dataset):
        return dataset
    if count < 1:
        raise InvalidValue("limit", count, "one image or more")
    kept = dataset.objects.take(dataset.objects.image_index < count)
    return replace(dataset, images=dataset.images[:count], objects=kept)


def without_classes(dataset: Dataset, names: tuple[str, ...]) -> Dataset:
    """The data set without the objects of some classes, which stay in its list of names."""
    if not names:
        return dataset
    kept = np.array([name not in names for name in dataset.names])[dataset.objects.labels]
    return replace(dataset, objects=dataset.objects.take(kept))
