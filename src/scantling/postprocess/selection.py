"""Candidates → what is kept of them: threshold, the best few, non-maximum suppression (NMS).

The threshold is applied where the candidates live; what passes it comes over in one transfer, and
the rest is numpy, over the whole batch and all its classes at once. Papers: DIoU-NMS,
https://arxiv.org/abs/1911.08287; Soft-NMS, https://arxiv.org/abs/1704.04503.

Candidates of an image are ranked by score; equal scores by the place of the box, then by label. So
the result depends on nothing but the numbers that came in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidValue, lookup
from ..structures import Candidates, FloatArray, IntArray
from . import suppression
from .fusion import Regions, fuse
from .suppression import Ranked

if TYPE_CHECKING:
    from torch import Tensor


MERGES = ("nms", "wbf")
WIDE = 32  # classes from which on a reduction by OpenCV pays


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


@dataclass(frozen=True, eq=False)
class Selected:
    """What was kept of one image, best first, in pixels of the network's input."""

    boxes: FloatArray  # (M, 4) xyxy
    scores: FloatArray  # (M,)
    labels: IntArray  # (M,)

    def __len__(self) -> int:
        return len(self.scores)


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
    "soft-linear": lambda ranked, settings: suppression.soft_linear(
        ranked, threshold=settings.iou_threshold, min_score=settings.min_score
    ),
    "soft-gaussian": lambda ranked, settings: suppression.soft_gaussian(
        ranked, sigma=settings.sigma, min_score=settings.min_score
    ),
    "none": lambda ranked, _: ranked.scores,
}


def select(candidates: Candidates, *, settings: Selection | None = None) -> list[Selected]:
    """Keep the best candidates of each image, without those that show the same object again.

    A score that is NaN or infinite is left out, and so is a box with a coordinate that is; a box
    without area overlaps nothing.

    Args:
        candidates: tensors, on any device, or numpy arrays.
        settings: which to keep.

    Returns:
        One for each of the N images.

    Raises:
        InvalidValue: the candidates are not (N, P, 4) boxes and (N, P, K) scores.
    """
    settings = settings or Selection()
    rows = gather(candidates, settings=settings)
    return choose(rows, images=len(candidates.boxes), settings=settings)


@dataclass(frozen=True, eq=False)
class Rows:
    """Candidates that may be worth keeping, on numpy arrays, ordered by image."""

    boxes: FloatArray  # (R, 4) xyxy
    scores: FloatArray  # (R, K)
    image: IntArray  # (R,) the image of each


def gather(candidates: Candidates, *, settings: Selection) -> Rows:
    """Bring the best candidates of each image over from where they live.

    Args:
        candidates: tensors, on any device, or numpy arrays.
        settings: its `min_score`, and its `max_candidates` of tensors, decide what is left behind.

    Raises:
        InvalidValue: the candidates are not (N, P, 4) boxes and (N, P, K) scores.
    """
    boxes, scores = candidates.boxes, candidates.scores
    if len(scores.shape) != 3 or 0 in scores.shape[2:] or boxes.shape != (*scores.shape[:2], 4):
        given = f"boxes {tuple(boxes.shape)}, scores {tuple(scores.shape)}"
        raise InvalidValue("candidates", given, "boxes (N, P, 4) and scores (N, P, K)")
    read = _rows_of_arrays if isinstance(boxes, np.ndarray) else _rows_of_tensors
    return Rows(*read(boxes, scores, settings))


def choose(
    rows: Rows, *, images: int, settings: Selection, regions: Regions | None = None
) -> list[Selected]:
    """Keep the best of what was gathered, without those that show the same object again.

    Args:
        rows: the candidates.
        images: how many images they are of.
        settings: which to keep.
        regions: where the views of each image lay, if it had several; for fusing.

    Returns:
        One for each image.
    """
    ranked = _rank(rows.boxes, rows.scores, rows.image, images=images, settings=settings)
    if settings.merge == "wbf":
        fused = fuse(ranked, threshold=settings.iou_threshold, regions=regions)
        return _split(fused, fused.scores, settings)
    return _split(ranked, NMS[settings.nms](ranked, settings), settings)


def _rows_of_arrays(
    boxes: FloatArray, scores: FloatArray, settings: Selection
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Boxes with a score above the threshold, their scores, and the image of each."""
    classes = scores.shape[2]
    passed = scores.astype(np.float32, copy=False) > np.float32(settings.min_score)
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
    boxes: Tensor, scores: Tensor, settings: Selection
) -> tuple[FloatArray, FloatArray, IntArray]:
    """The same, found on the tensors' device and brought over in one piece.

    On a processor numpy looks at the very same memory.
    """
    import torch

    if boxes.device.type == scores.device.type == "cpu" and scores.dtype == torch.float32:
        return _rows_of_arrays(boxes.detach().float().numpy(), scores.detach().numpy(), settings)
    min_score = float(np.float32(settings.min_score))
    best = scores.detach().amax(-1).float()
    passed = ~(best <= min_score)  # a NaN passes: it may hide a good score of another class
    image, row = passed.nonzero(as_tuple=True)
    most = min(settings.max_candidates, best.shape[1])
    if len(row) > most:  # only boxes among an image's best can hold its best candidates
        sound = torch.isfinite(best) & torch.isfinite(boxes).all(-1)
        ordered = torch.where(passed & sound, best, 0).topk(most, 1)
        passed &= (best >= ordered.values[:, -1:]) | ~sound
        image, row = passed.nonzero(as_tuple=True)
    parts = [boxes.detach()[image, row], scores.detach()[image, row], image[:, None]]
    rows = torch.cat([part.float() for part in parts], 1).cpu().numpy()
    return rows[:, :4], rows[:, 4:-1], rows[:, -1].astype(np.int64)


def _rank(
    boxes: FloatArray,
    scores: FloatArray,
    image: IntArray,
    *,
    images: int,
    settings: Selection,
) -> Ranked:
    """One entry a box and class, by image, then best first; at most `max_candidates` an image."""
    classes = scores.shape[1]
    sound = np.isfinite(boxes).all(axis=1)
    if not sound.all():
        boxes, scores, image = boxes[sound], scores[sound], image[sound]
    if not np.isfinite(scores).all():
        scores = np.where(np.isfinite(scores), scores, np.float32(-1))
    if settings.multi_label:
        flat = np.flatnonzero(_among_best(scores, image, images, settings))
        row = flat // classes
    else:
        best = scores.argmax(1)
        single = scores[np.arange(len(scores)), best][:, None]
        row = np.flatnonzero(_among_best(single, image, images, settings))
        flat = row * classes + best[row]
    score = scores.ravel()[flat]
    owner = image[row]
    order = np.argsort(-score, kind="stable")  # equal scores stay in their order
    if images > 1:
        order = order[np.argsort(owner[order], kind="stable")]
    counts = np.bincount(owner, minlength=images)
    if counts.max(initial=0) > settings.max_candidates:  # equal scores made it more
        place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
        order = order[place < settings.max_candidates]

    row, owner = row[order], owner[order]
    label = flat[order] - row * classes
    group = owner * classes + label if settings.class_aware else owner
    return Ranked(boxes[row], score[order], label, owner, group, images)


def _among_best(
    scores: FloatArray, image: IntArray, images: int, settings: Selection
) -> NDArray[np.bool_]:
    """Which scores pass, and are as good as the `max_candidates`-th best of their image.

    Equal scores may make it more.

    Args:
        scores: (R, K), finite.
        image: (R,) the image of each row, in order.
        images: how many images there are.
        settings: `min_score` and `max_candidates`.
    """
    passed: NDArray[np.bool_] = scores > np.float32(settings.min_score)
    ends = np.cumsum(np.bincount(image, minlength=images))
    for start, end in pairwise([0, *ends.tolist()]):
        own = scores[start:end][passed[start:end]]
        excess = len(own) - settings.max_candidates
        if excess > 0:
            passed[start:end] = scores[start:end] >= np.partition(own, excess)[excess]
    return passed


def _split(ranked: Ranked, scores: FloatArray, settings: Selection) -> list[Selected]:
    """What is left of each image, best first."""
    left = np.flatnonzero(scores > np.float32(settings.min_score))
    left = left[np.argsort(-scores[left], kind="stable")]
    if ranked.images > 1:
        left = left[np.argsort(ranked.image[left], kind="stable")]
    bounds = np.searchsorted(ranked.image[left], np.arange(ranked.images + 1))
    of_each = [left[start:end][: settings.max_detections] for start, end in pairwise(bounds)]
    return [Selected(ranked.boxes[own], scores[own], ranked.labels[own]) for own in of_each]
