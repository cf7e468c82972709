"""The candidates of all views of an image → what is kept of the image."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..images.crops import Crop
from ..structures import FloatArray, IntArray
from .fusion import Regions
from .selection import Rows, Selected, Selection, choose

CUT_SHARE = 0.02  # of a tile: nearer to its edge than this, a box ends there

_NOTHING = Selected(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int64))


def select_views(
    parts: Sequence[tuple[Rows, IntArray]],
    views: Sequence[Sequence[Crop]],
    *,
    settings: Selection,
    clip: bool = True,
) -> list[Selected]:
    """Keep the best candidates of each image, whatever view showed them.

    The boxes of an image with several views are compared in its own pixels. Those of one that has a
    single view are compared where they are, so that nothing is rounded before it must be.

    Args:
        parts: what was gathered in each run of the network, in pixels of the canvas, and (N,) which
            view each of its images was.
        views: of each image; a part counts all of them, one after the other.
        settings: which to keep.
        clip: cut boxes off at the edge of the image.

    Returns:
        One for each image, its boxes in pixels of the image.
    """
    if not parts:
        return [_NOTHING] * len(views)
    rows = _join(parts)
    flat = [view for own in views for view in own]
    counts = np.array([len(own) for own in views], np.int64)
    owner = np.repeat(np.arange(len(views)), counts)
    boxes, scores, image = rows.boxes, rows.scores, owner[rows.image]
    several = np.flatnonzero(counts[owner] > 1)
    if len(several):
        boxes, kept = boxes.copy(), np.ones(len(boxes), np.bool_)
        starts, ends = (np.searchsorted(rows.image, several, side) for side in ("left", "right"))
        for number, start, end in zip(several.tolist(), starts, ends, strict=True):
            boxes[start:end] = flat[number].placement.undo(boxes[start:end], clip=False)
            kept[start:end] = ~_end_at_cut(boxes[start:end], flat[number])
        boxes, scores, image = boxes[kept], scores[kept], image[kept]
    regions = np.array([view.region for view in flat], np.float32).reshape(-1, 4)
    found = choose(
        Rows(boxes, scores, image),
        images=len(views),
        settings=settings,
        regions=Regions(regions, owner),
    )
    return [_in_image(one, own, clip) for one, own in zip(found, views, strict=True)]


def _join(parts: Sequence[tuple[Rows, IntArray]]) -> Rows:
    """What was gathered in several runs of the network, as one, ordered by view."""
    image = np.concatenate([views[rows.image] for rows, views in parts])
    if len(parts) == 1 and (image[:-1] <= image[1:]).all():  # nothing to move
        return Rows(parts[0][0].boxes, parts[0][0].scores, image)
    order = np.argsort(image, kind="stable")
    return Rows(
        np.concatenate([rows.boxes for rows, _ in parts])[order],
        np.concatenate([rows.scores for rows, _ in parts])[order],
        image[order],
    )


def _end_at_cut(boxes: FloatArray, view: Crop) -> NDArray[np.bool_]:
    """Which boxes, in pixels of the image, reach an edge at which the view was cut."""
    left, top, right, bottom = view.region
    near = np.array([right - left, bottom - top], np.float32) * CUT_SHARE
    first, last = np.array([left, top]) + near, np.array([right, bottom]) - near
    beyond = np.concatenate([boxes[:, :2] < first, boxes[:, 2:] > last], 1)
    found: NDArray[np.bool_] = (beyond & np.array(view.cut)).any(1)
    return found


def _in_image(selected: Selected, views: Sequence[Crop], clip: bool) -> Selected:
    """The same in pixels of the image, cut off if so wished."""
    boxes = selected.boxes
    if len(views) == 1:
        boxes = views[0].placement.undo(boxes, clip=clip)
    elif views and clip:
        height, width = views[0].placement.image_size
        boxes = np.clip(boxes, 0, np.array([width, height, width, height], np.float32))
    return Selected(boxes, selected.scores, selected.labels)
