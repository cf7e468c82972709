"""Find boxes of one image that are the same, or nearly, without comparing all pairs."""

import numpy as np

from ...structures import IntArray
from ..dataset import Columns

NEARLY = 0.95  # intersection over union from which two boxes are taken for one
MAX_COMPARED = 2_000  # objects of one image; where there are more, they are left out
MAX_PARTNERS = 8  # pairs that one box begins, however many lie on it: what is found stays small


def find_duplicate_boxes(boxes: Columns, image_index: IntArray) -> tuple[IntArray, IntArray]:
    """Pairs of rows of one image whose boxes overlap by `NEARLY` at least, the earlier row first.

    Two such boxes have left edges at most 5 % of the wider's width apart. So rows are sorted by
    their left edge, and a row is compared with the next, the second next, and so on, all rows at
    once, until that is exceeded or it has `MAX_PARTNERS`: few rounds for real images, and
    `MAX_COMPARED` for any.

    Args:
        boxes: (M, 4) xyxy with positive sides.
        image_index: (M,) ascending.
    """
    nobody = np.empty(0, np.int64)
    if len(boxes) < 2:
        return nobody, nobody
    counts = np.bincount(image_index)
    order = np.lexsort((boxes[:, 0], image_index))
    order = order[counts[image_index[order]] <= MAX_COMPARED]
    image, box = image_index[order], boxes[order]
    # The later one begins at most this far to the right: its own width is at most 1/NEARLY of ours.
    reach = box[:, 0] + (box[:, 2] - box[:, 0]) * (1 - NEARLY) / NEARLY
    found: list[tuple[IntArray, IntArray]] = [(nobody, nobody)]
    active = np.arange(len(order))
    partners = np.zeros(len(order), np.int64)
    for step in range(1, MAX_COMPARED):
        active = active[active + step < len(order)]
        other = active + step
        near = (image[other] == image[active]) & (box[other, 0] <= reach[active])
        active, other = active[near], other[near]
        if not len(active):
            break
        same = _iou(box[active], box[other]) >= NEARLY
        found.append((order[active[same]], order[other[same]]))
        partners[active] += same
        active = active[partners[active] < MAX_PARTNERS]
    first = np.concatenate([pair[0] for pair in found])
    second = np.concatenate([pair[1] for pair in found])
    return np.minimum(first, second), np.maximum(first, second)


def _iou(a: Columns, b: Columns) -> Columns:
    """(M,) intersection over union of rows with rows; of (M, 4) boxes with positive sides."""
    overlap = np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0, None)
    shared = overlap.prod(axis=1)
    union = (a[:, 2:] - a[:, :2]).prod(axis=1) + (b[:, 2:] - b[:, :2]).prod(axis=1) - shared
    return np.asarray(shared / np.maximum(union, np.finfo(np.float64).tiny))
