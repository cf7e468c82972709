"""Candidates → what is kept of them: threshold, the best few, non-maximum suppression (NMS).

The threshold is applied where the candidates live; what passes it comes over in one transfer, and
the rest is numpy, over the whole batch and all its classes at once. Papers: DIoU-NMS,
https://arxiv.org/abs/1911.08287; Soft-NMS, https://arxiv.org/abs/1704.04503.

Candidates of an image are ranked by score; equal scores by the place of the box, then by label. So
the result depends on nothing but the numbers that came in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidValue, lookup
from ..specs.classes import find_label
from ..structures import Candidates, FloatArray, IntArray
from . import soft_suppression, suppression
from .fusion import Regions, fuse
from .suppression import Ranked, cut, sort, take

if TYPE_CHECKING:
    from torch import Tensor

WIDE = 32  # classes from which on a reduction by OpenCV pays
MERGES = ("nms", "wbf")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which candidates become detections.

    Args:
        min_score: a candidate's score must be above it, before and after NMS.
        iou_threshold: overlap from which on a better box of the same class weakens a lesser one, or
            is fused with it.
        merge: `nms` keeps the best of the boxes that show one object; `wbf` fuses them into their
            mean, see `fuse`, and leaves `nms` unused. Its paper has an `iou_threshold` of 0.55.
        nms: a name in `NMS`. `greedy` removes the lesser box; `diou` as well, but tells boxes
            whose centres are apart from one another; `soft-linear` and `soft-gaussian` lower its
            score the more they overlap (the latter at any overlap); `none` leaves all.
        class_aware: a box contends only with boxes of its own class.
        multi_label: a box may be found as every class above `min_score`, not only as the best.
        max_detections: the most that an image keeps, best first.
        max_candidates: the most that NMS looks at per image, best first. What the soft kinds need
            of time and memory grows with its square: at 5,000 boxes of one class that all
            overlap, about half a gigabyte.
        sigma: width of the Gaussian of `soft-gaussian`: score · exp(−IoU² / sigma).
        beta: of `diou`: IoU − (d² / c²)^beta, with the distance d of the centres and the diagonal
            c of the enclosing box. 1 in the paper; darknet has 0.6, for its `greedynms` too.
        classes: names or labels of the only classes that are kept; None for all.
        class_scores: for some classes, by name or label, another `min_score`. Names of classes are
            those of a model: a `Predictor` knows them, `select` takes labels.

    Raises:
        InvalidValue: a number is out of its range, or `merge` is neither.
        UnknownName: there is no such kind of NMS.
    """

    min_score: float = 0.25
    iou_threshold: float = 0.45
    merge: str = "nms"
    nms: str = "greedy"
    class_aware: bool = True
    multi_label: bool = True
    max_detections: int = 300
    max_candidates: int = 5000
    sigma: float = 0.5
    beta: float = 1.0
    classes: tuple[str | int, ...] | None = None
    class_scores: Mapping[str | int, float] | None = None

    def __post_init__(self) -> None:
        lookup(NMS, self.nms, "kind of NMS")
        if self.merge not in MERGES:
            raise InvalidValue("merge", self.merge, "one of " + ", ".join(MERGES))
        for name in ("min_score", "iou_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidValue(name, getattr(self, name), "a number from 0 to 1")
        for name in ("max_detections", "max_candidates"):
            if getattr(self, name) < 1:
                raise InvalidValue(name, getattr(self, name), "a whole number from 1")
        for name in ("sigma", "beta"):
            if not 0 < getattr(self, name) < np.inf:
                raise InvalidValue(name, getattr(self, name), "a number above 0")
        for label, score in (self.class_scores or {}).items():
            if not 0 <= score <= 1:
                raise InvalidValue(f"class_scores of {label}", score, "a number from 0 to 1")
        if self.classes is not None and not self.classes:
            raise InvalidValue("classes", self.classes, "one class or more, or None for all")

    def with_labels(self, names: Sequence[str]) -> Selection:
        """The same with the labels of a model in place of the names of its classes.

        Raises:
            UnknownName, InvalidValue: the model has no class of that name or label.
        """
        if self.classes is None and self.class_scores is None:
            return self
        classes, scores = self.classes, self.class_scores
        return replace(
            self,
            classes=None if classes is None else tuple(find_label(one, names) for one in classes),
            class_scores=(
                None
                if scores is None
                else {find_label(one, names): score for one, score in scores.items()}
            ),
        )

    @property
    def lowest_score(self) -> float:
        """The lowest threshold of any class."""
        return min([self.min_score, *(self.class_scores or {}).values()])

    def limits(self, count: int) -> FloatArray:
        """(1,) or, where classes differ, (count,): what a score of each label must be above."""
        if self.classes is None and not self.class_scores:
            return np.array([self.min_score], np.float32)
        limits = np.full(count, self.min_score, np.float32)
        for label, score in (self.class_scores or {}).items():
            limits[_as_label(label, count)] = score
        if self.classes is not None:
            others = np.ones(count, np.bool_)
            others[[_as_label(label, count) for label in self.classes]] = False
            limits[others] = np.inf
        return limits


def _as_label(given: str | int, count: int) -> int:
    if isinstance(given, str) or not 0 <= given < count:
        raise InvalidValue("class", given, f"a label from 0 to {count - 1}")
    return given


# Every kind of NMS: kind(ranked, settings) → (S,) scores after it, 0 for what is removed.
NMS: dict[str, Callable[[Ranked, Selection], FloatArray]] = {
    "greedy": lambda ranked, settings: suppression.greedy(
        ranked, threshold=settings.iou_threshold, max_detections=settings.max_detections
    ),
    "diou": lambda ranked, settings: suppression.greedy(
        ranked,
        threshold=settings.iou_threshold,
        max_detections=settings.max_detections,
        beta=settings.beta,
    ),
    "soft-linear": lambda ranked, settings: soft_suppression.soft_linear(
        ranked, threshold=settings.iou_threshold, min_score=settings.lowest_score
    ),
    "soft-gaussian": lambda ranked, settings: soft_suppression.soft_gaussian(
        ranked, sigma=settings.sigma, min_score=settings.lowest_score
    ),
    "none": lambda ranked, _: ranked.scores,
}


def select(candidates: Candidates, *, settings: Selection | None = None) -> list[Ranked]:
    """Threshold and NMS: keep the best candidates of each image, one for each object.

    A score that is NaN or infinite is left out, and so is a box with a coordinate that is; a box
    without area overlaps nothing.

    Args:
        candidates: tensors, on any device, or numpy arrays.
        settings: which to keep.

    Returns:
        One for each of the N images, best first, in pixels of the network's input.

    Raises:
        InvalidValue: the candidates are not (N, P, 4) boxes and (N, P, K) scores.
    """
    settings = settings or Selection()
    return suppress(rank(candidates, settings=settings), settings=settings)


def rank(
    candidates: Candidates,
    *,
    settings: Selection,
    keep: Callable[[FloatArray, IntArray], NDArray[np.bool_]] | None = None,
) -> Ranked:
    """Bring the best candidates of each image over from where they live, best first.

    Args:
        candidates: tensors, on any device, or numpy arrays.
        settings: its `min_score`, `multi_label` and `max_candidates`.
        keep: which boxes may count, all if None: (R, 4) boxes, (R,) the image of each → (R,) bool.

    Raises:
        InvalidValue: the candidates are not (N, P, 4) boxes and (N, P, K) scores.
    """
    boxes, scores = candidates.boxes, candidates.scores
    if len(scores.shape) != 3 or 0 in scores.shape[2:] or boxes.shape != (*scores.shape[:2], 4):
        given = f"boxes {tuple(boxes.shape)}, scores {tuple(scores.shape)}"
        raise InvalidValue("candidates", given, "boxes (N, P, 4) and scores (N, P, K)")
    images = len(boxes)
    read = _rows_of_arrays if isinstance(boxes, np.ndarray) else _rows_of_tensors
    limits = settings.limits(scores.shape[2])
    boxes, scores, image = read(boxes, scores, limits, settings.max_candidates)
    sound = np.isfinite(boxes).all(axis=1)
    if keep is not None:
        sound &= keep(boxes, image)
    if not sound.all():
        boxes, scores, image = boxes[sound], scores[sound], image[sound]
    if not np.isfinite(scores).all():
        scores = np.where(np.isfinite(scores), scores, np.float32(-1))
    if settings.multi_label:
        flat = np.flatnonzero(_among_best(scores, image, images, settings, limits))
        row = flat // scores.shape[1]
    else:
        best = scores.argmax(1)
        single = scores[np.arange(len(scores)), best][:, None]
        limits = limits[best][:, None] if len(limits) > 1 else limits
        row = np.flatnonzero(_among_best(single, image, images, settings, limits))
        flat = row * scores.shape[1] + best[row]
    label = flat - row * scores.shape[1]
    kept = boxes[row], scores.ravel()[flat], label, image[row]
    found = sort(*kept, images=images, class_aware=settings.class_aware)
    return cut(found, settings.max_candidates)


def suppress(
    ranked: Ranked, *, settings: Selection, regions: Regions | None = None
) -> list[Ranked]:
    """Non-maximum suppression, or fusion: the best of each image, without what shows it again.

    Args:
        ranked: the candidates.
        settings: which to keep.
        regions: where the crops of each image lay, if it had several; for fusing.

    Returns:
        One for each image.
    """
    if settings.merge == "wbf":
        ranked = fuse(ranked, threshold=settings.iou_threshold, regions=regions)
        return _split(ranked, ranked.scores, settings)
    return _split(ranked, NMS[settings.nms](ranked, settings), settings)


def _rows_of_arrays(
    boxes: FloatArray, scores: FloatArray, limits: FloatArray, _: int
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Boxes with a score above the limit of its class, their scores, and the image of each."""
    classes = scores.shape[2]
    passed = scores.astype(np.float32, copy=False) > limits
    row = _rows_with_any(passed.reshape(-1, classes))
    return (
        boxes.reshape(-1, 4).take(row, axis=0).astype(np.float32, copy=False),
        scores.reshape(-1, classes).take(row, axis=0).astype(np.float32, copy=False),
        row // max(1, boxes.shape[1]),
    )


def _rows_with_any(passed: NDArray[np.bool_]) -> IntArray:
    """The rows in which anything is true."""
    if passed.shape[1] >= WIDE and len(passed):  # several times faster than looking at each
        bits = np.ascontiguousarray(passed).view(np.uint8)
        return np.flatnonzero(np.asarray(cv2.reduce(bits, 1, cv2.REDUCE_MAX)))
    row: IntArray = np.flatnonzero(passed) // passed.shape[1]
    return row[np.diff(row, prepend=-1) > 0]


def _rows_of_tensors(
    boxes: Tensor, scores: Tensor, limits: FloatArray, max_candidates: int
) -> tuple[FloatArray, FloatArray, IntArray]:
    """The same, found on the tensors' device and brought over in one piece.

    On a processor numpy looks at the very same memory.
    """
    import torch

    if boxes.device.type == scores.device.type == "cpu" and scores.dtype == torch.float32:
        return _rows_of_arrays(boxes.detach().float().numpy(), scores.detach().numpy(), limits, 0)
    allowed = scores.detach()
    min_score = float(limits.min())
    if len(limits) > 1:  # what no class allows counts for less than any score
        least = torch.from_numpy(limits).to(scores.device)
        allowed = torch.where(allowed.float() > least, allowed.float(), -1)
        min_score = 0.0
    best = allowed.amax(-1).float()
    passed = ~(best <= min_score)  # a NaN passes: it may hide a good score of another class
    image, row = passed.nonzero(as_tuple=True)
    most = min(max_candidates, best.shape[1])
    if len(row) > most:  # only boxes among an image's best can hold its best candidates
        sound = torch.isfinite(best) & torch.isfinite(boxes).all(-1)
        ordered = torch.where(passed & sound, best, 0).topk(most, 1)
        passed &= (best >= ordered.values[:, -1:]) | ~sound
        image, row = passed.nonzero(as_tuple=True)
    parts = [boxes.detach()[image, row], scores.detach()[image, row], image[:, None]]
    rows = torch.cat([part.float() for part in parts], 1).cpu().numpy()
    return rows[:, :4], rows[:, 4:-1], rows[:, -1].astype(np.int64)


def _among_best(
    scores: FloatArray, image: IntArray, images: int, settings: Selection, limits: FloatArray
) -> NDArray[np.bool_]:
    """(R, K) which scores pass, and are as good as the `max_candidates`-th best of their image.

    Equal scores may make it more.

    Args:
        scores: (R, K), finite.
        image: (R,) the image of each row, in order.
        images: how many images there are.
        settings: `max_candidates`.
        limits: what each must be above, of a shape like `scores` or (K,) or (1,).
    """
    passed: NDArray[np.bool_] = scores > limits
    most = settings.max_candidates
    ends = np.cumsum(np.bincount(image, minlength=images))
    for start, end in pairwise([0, *ends.tolist()]):
        own = scores[start:end][passed[start:end]]
        excess = len(own) - most
        if excess > 0:
            passed[start:end] &= scores[start:end] >= np.partition(own, excess)[excess]
    return passed


def _split(ranked: Ranked, scores: FloatArray, settings: Selection) -> list[Ranked]:
    """What is left of each image, best first."""
    limits: FloatArray | np.float32 = np.float32(settings.min_score)
    if settings.class_scores:  # of the other classes nothing has come so far
        known, place = np.unique(ranked.labels, return_inverse=True)
        least = [settings.class_scores.get(one, settings.min_score) for one in known.tolist()]
        limits = np.array(least, np.float32)[place]
    left = np.flatnonzero(scores > limits)
    left = left[np.argsort(-scores[left], kind="stable")]
    if ranked.images > 1:
        left = left[np.argsort(ranked.image[left], kind="stable")]
    bounds = np.searchsorted(ranked.image[left], np.arange(ranked.images + 1))
    of_each = [left[start:end][: settings.max_detections] for start, end in pairwise(bounds)]
    ranked = replace(ranked, scores=scores)
    return [take(ranked, own) for own in of_each]  # `image` and `group` as in the batch
