"""The candidates of all crops of an image → what is kept of the image."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..images.crops import Crop
from ..structures import FloatArray, IntArray
from .fusion import Regions
from .selection import Selection, cut, sort, suppress
from .suppression import Ranked

CUT_SHARE = 0.02  # of a tile: nearer to its edge than this, a box ends there


def select_crops(
    parts: Sequence[tuple[Ranked, IntArray]],
    crops: Sequence[Sequence[Crop]],
    *,
    settings: Selection,
    clip: bool = True,
) -> list[Ranked]:
    """Merge the candidates of each image's crops, and keep the best; boxes in its own pixels.

    The boxes of an image with several crops are compared in its own pixels. Those of one that has a
    single crop are compared where they are, so that nothing is rounded before it must be.

    Args:
        parts: the candidates of each batch, in pixels of the canvas, and (N,) which crop each of
            its images was.
        crops: of each image; a part counts all of them, one after the other.
        settings: which to keep.
        clip: cut boxes off at the edge of the image.

    Returns:
        One for each image.
    """
    flat = [crop for own in crops for crop in own]
    owner = np.repeat(np.arange(len(crops)), [len(own) for own in crops])
    if len(parts) == 1 and np.array_equal(owner[parts[0][1]], np.arange(len(crops))):
        ranked = parts[0][0]  # one crop an image, all in one batch: nothing to merge
    else:
        ranked = _merge(parts, flat, owner, len(crops), settings)
    regions = None
    if settings.merge == "wbf":
        boxes = np.array([crop.region for crop in flat], np.float32).reshape(-1, 4)
        regions = Regions(boxes, owner)
    found = suppress(ranked, settings=settings, regions=regions)
    return [_in_image(one, own, clip) for one, own in zip(found, crops, strict=True)]


def _merge(
    parts: Sequence[tuple[Ranked, IntArray]],
    crops: Sequence[Crop],
    owner: IntArray,
    images: int,
    settings: Selection,
) -> Ranked:
    """The candidates of several batches, or of several crops an image, ranked image by image.

    Args:
        parts: as of `select_crops`.
        crops: of all images.
        owner: (V,) the image of each crop.
        images: how many there are.
        settings: `max_candidates`, and whether classes contend.
    """
    which = np.concatenate([np.empty(0, np.int64), *(own[part.image] for part, own in parts)])
    order = np.argsort(which, kind="stable")
    which = which[order]
    boxes = np.concatenate([np.empty((0, 4), np.float32), *(part.boxes for part, _ in parts)])[
        order
    ]
    scores = np.concatenate([np.empty(0, np.float32), *(part.scores for part, _ in parts)])[order]
    labels = np.concatenate([np.empty(0, np.int64), *(part.labels for part, _ in parts)])[order]
    for number in np.flatnonzero(np.bincount(owner, minlength=images)[owner] > 1).tolist():
        start, end = np.searchsorted(which, [number, number + 1])
        boxes[start:end] = crops[number].placement.undo(boxes[start:end], clip=False)
    ranked = sort(boxes, scores, labels, owner[which], images=images, settings=settings)
    return cut(ranked, settings.max_candidates)


def end_inside(boxes: FloatArray, image: IntArray, *, crops: Sequence[Crop]) -> NDArray[np.bool_]:
    """(R,) which boxes do not end where a tile was cut: its neighbour shows them whole.

    Args:
        boxes: (R, 4) in pixels of the canvas.
        image: (R,) the crop of each, in order.
        crops: of the batch.
    """
    kept = np.ones(len(boxes), np.bool_)
    ends = np.searchsorted(image, np.arange(len(crops) + 1))
    for crop, (start, end) in zip(crops, pairwise(ends.tolist()), strict=True):
        if any(crop.cut):
            own = crop.placement.undo(boxes[start:end], clip=False)
            kept[start:end] = ~_end_at_cut(own, crop)
    return kept


def _end_at_cut(boxes: FloatArray, crop: Crop) -> NDArray[np.bool_]:
    """Which boxes, in pixels of the image, reach an edge at which the image was cut."""
    left, top, right, bottom = crop.region
    near = np.array([right - left, bottom - top], np.float32) * CUT_SHARE
    first, last = np.array([left, top]) + near, np.array([right, bottom]) - near
    beyond = np.concatenate([boxes[:, :2] < first, boxes[:, 2:] > last], 1)
    found: NDArray[np.bool_] = (beyond & np.array(crop.cut)).any(1)
    return found


def _in_image(found: Ranked, crops: Sequence[Crop], clip: bool) -> Ranked:
    """The same in pixels of the image, cut off at its edge if `clip`."""
    boxes = found.boxes
    if len(crops) == 1:
        boxes = crops[0].placement.undo(boxes, clip=clip)
    elif crops and clip:
        height, width = crops[0].placement.image_size
        boxes = np.clip(boxes, 0, np.array([width, height, width, height], np.float32))
    return replace(found, boxes=boxes)
