"""Non-maximum suppression, greedy and soft, over many images and classes at once.

Neither kind looks at one box after the other. Boxes of different groups (an image's class) never
meet, and within a group a box's fate depends only on better boxes that it overlaps: so all boxes
that no such neighbour is left to contest are settled together, round after round. The results are
those of the sequential algorithms, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..boxes import area, distance_iou
from ..structures import FloatArray, IntArray

Measure = Callable[[FloatArray, FloatArray], FloatArray]

PAIRS = 1 << 15  # pairs of boxes compared at once: what stays in a processor's cache
WORTH = 0.7  # share of the boxes that a round of leaders may leave if another is to follow


@dataclass(frozen=True, eq=False)
class Ranked:
    """Boxes with one score and one label each: image after image, in each the best first.

    Args:
        boxes: (S, 4) float32 xyxy, finite.
        scores: (S,) float32, above 0.
        labels: (S,).
        image: (S,) the image of each; in a result of one image, its place in the batch still.
        group: (S,) only boxes of equal group contend; a group lies within one image.
        images: how many images there are.
    """

    boxes: FloatArray
    scores: FloatArray
    labels: IntArray
    image: IntArray
    group: IntArray
    images: int

    def __len__(self) -> int:
        return len(self.scores)


def sort(
    boxes: FloatArray,
    scores: FloatArray,
    labels: IntArray,
    image: IntArray,
    *,
    images: int,
    class_aware: bool,
) -> Ranked:
    """Boxes with one score and label each, by image, then best first; equals in their order."""
    order = np.argsort(-scores, kind="stable")
    if images > 1:
        order = order[np.argsort(image[order], kind="stable")]
    labels, image = labels[order], image[order]
    group = image * (labels.max(initial=0) + 1) + labels if class_aware else image
    return Ranked(boxes[order], scores[order], labels, image, group, images)


def cut(ranked: Ranked, most: int) -> Ranked:
    """The best of each image."""
    counts = np.bincount(ranked.image, minlength=ranked.images)
    if counts.max(initial=0) <= most:
        return ranked
    place = np.arange(len(ranked)) - np.repeat(np.cumsum(counts) - counts, counts)
    return take(ranked, place < most)


def take(ranked: Ranked, which: NDArray[np.bool_] | IntArray) -> Ranked:
    """Some of the candidates, in their order."""
    return Ranked(
        ranked.boxes[which],
        ranked.scores[which],
        ranked.labels[which],
        ranked.image[which],
        ranked.group[which],
        ranked.images,
    )


def greedy(
    ranked: Ranked,
    *,
    threshold: float,
    max_detections: int,
    beta: float | None = None,
    block: int = 256,
) -> FloatArray:
    """Remove every box that a better one, itself kept, overlaps too much.

    The best of each image are settled first, a block at a time, and an image is left alone once it
    has its detections: memory does not grow with the square of the candidates, nor does time
    unless that many are kept.

    Args:
        ranked: the candidates.
        threshold: the most that two boxes may overlap if both are to stay.
        max_detections: the most that an image needs.
        beta: measure the overlap as IoU − (d² / c²)^beta (DIoU-NMS); None for IoU.
        block: boxes of one group that would be settled together; it changes the speed alone.

    Returns:
        (S,) scores, 0 for boxes that are removed or no longer needed.
    """

    def measure(a: FloatArray, b: FloatArray) -> FloatArray:
        return iou_of_shapes(a, b) if beta is None else distance_iou(a[:4].T, b[:4].T, beta=beta)

    shapes = shapes_of(ranked.boxes)
    counts = np.bincount(ranked.image, minlength=ranked.images)
    starts = np.cumsum(counts) - counts
    missing = np.full(ranked.images, max_detections)
    kept = np.empty(0, np.int64)
    members = _block_members(ranked.group, block)
    done = 0  # this many of each image are settled
    while len(active := np.flatnonzero((counts > done) & (missing > 0))):
        places = done + np.arange(max(1, members // len(active)))
        current = (starts[active, None] + places)[places < counts[active, None]]
        if len(kept):
            lost = _overlap_any(ranked.group, shapes, current, kept, measure, threshold)
            current = current[~lost]
        current = _settle(ranked.group, shapes, current, measure, threshold)
        kept = np.concatenate([kept, current])
        missing -= np.bincount(ranked.image[current], minlength=ranked.images)
        done += len(places)
    scores = np.zeros_like(ranked.scores)
    scores[kept] = ranked.scores[kept]
    return scores


def shapes_of(boxes: FloatArray) -> FloatArray:
    """(5, S) left, top, right, bottom and area of each box: compared often, so kept together."""
    with np.errstate(over="ignore", invalid="ignore"):  # boxes as wide as float32 allows
        return np.concatenate([boxes.T, area(boxes)[None]])


def iou_of_shapes(a: FloatArray, b: FloatArray) -> FloatArray:
    """As `boxes.iou`, of `shapes_of`; NaN, above nothing, where neither box has an area."""
    width = np.minimum(a[2], b[2])
    width -= np.maximum(a[0], b[0])
    height = np.minimum(a[3], b[3])
    height -= np.maximum(a[1], b[1])
    overlap = np.maximum(width, 0, out=width)
    overlap *= np.maximum(height, 0, out=height)
    union = a[4] + b[4]
    union -= overlap
    ratio: FloatArray = np.divide(overlap, union, out=union)
    return ratio


def _block_members(group: IntArray, block: int) -> int:
    """Boxes to settle at once, so that they make about as many pairs as `block` of one group."""
    sizes = np.bincount(group).astype(np.float64)
    return max(1, int(block * len(group) / max(1.0, float(np.linalg.norm(sizes)))))


def pairs_in_groups(
    shapes: FloatArray,
    first: IntArray,
    second: IntArray,
    low: IntArray,
    high: IntArray,
    measure: Measure,
    threshold: float,
) -> Iterator[tuple[IntArray, IntArray, FloatArray]]:
    """Compare box `first[i]` with each of `second[low[i]:high[i]]`, few enough at a time.

    Yields:
        Places i, places in `second`, and overlaps, of the pairs above the threshold.
    """
    counts = high - low
    total = np.cumsum(counts)
    begin = 0
    while begin < len(first):
        before = total[begin] - counts[begin]
        end = max(begin + 1, int(np.searchsorted(total, before + PAIRS, side="right")))
        some = counts[begin:end]
        i = np.repeat(np.arange(begin, end), some)
        j = np.arange(len(i)) + np.repeat(low[begin:end] - np.cumsum(some) + some, some)
        with np.errstate(all="ignore"):  # boxes as wide as float32 allows, or without an area
            overlap = measure(shapes.take(first[i], axis=1), shapes.take(second[j], axis=1))
        above = np.flatnonzero(overlap > np.float32(threshold))
        yield i[above], j[above], overlap[above]
        begin = end


def _overlap_any(
    group: IntArray,
    shapes: FloatArray,
    current: IntArray,
    kept: IntArray,
    measure: Measure,
    threshold: float,
) -> NDArray[np.bool_]:
    """Which of the current boxes one of those already kept overlaps too much."""
    kept = kept[np.argsort(group[kept], kind="stable")]
    low = np.searchsorted(group[kept], group[current], side="left")
    high = np.searchsorted(group[kept], group[current], side="right")
    found = np.zeros(len(current), np.bool_)
    for i, _, _ in pairs_in_groups(shapes, current, kept, low, high, measure, threshold):
        found[i] = True
    return found


def _settle(
    group: IntArray, shapes: FloatArray, current: IntArray, measure: Measure, threshold: float
) -> IntArray:
    """Greedy NMS among the current boxes alone, which stand best first in each group."""
    current = current[np.argsort(group[current], kind="stable")]
    led, current = _follow_leaders(group, shapes, current, measure, threshold)
    low, high = rest_of_group(group[current])
    found = list(pairs_in_groups(shapes, current, current, low, high, measure, threshold))
    better = np.concatenate([np.empty(0, np.int64), *(i for i, _, _ in found)])
    worse = np.concatenate([np.empty(0, np.int64), *(j for _, j, _ in found)])
    removed = np.zeros(len(current), np.bool_)
    while len(better):
        contested = np.zeros(len(current), np.bool_)
        contested[worse] = True
        removed[worse[~contested[better]]] = True
        open_ = ~(removed[better] | removed[worse])
        better, worse = better[open_], worse[open_]
    return np.concatenate([*led, current[~removed]])


def _follow_leaders(
    group: IntArray, shapes: FloatArray, current: IntArray, measure: Measure, threshold: float
) -> tuple[list[IntArray], IntArray]:
    """Keep the best of each group and remove what it overlaps, as long as that is most of it.

    Where many boxes show few objects this takes far fewer comparisons than all pairs.

    Returns:
        Those kept, and those neither kept nor removed; both ordered by group.
    """
    led = []
    before = 2 * len(current) + 1
    while 0 < len(current) < before * WORTH:
        before = len(current)
        own = group[current]
        leads = np.empty(before, np.bool_)
        leads[0] = True
        np.not_equal(own[1:], own[:-1], out=leads[1:])
        leaders, others = current[leads], ~leads
        its = leaders[np.cumsum(leads)[others] - 1]
        led.append(leaders)
        current = current[others]
        with np.errstate(all="ignore"):
            overlap = measure(shapes.take(its, axis=1), shapes.take(current, axis=1))
        current = current[~(overlap > np.float32(threshold))]
    return led, current


def rest_of_group(group: IntArray) -> tuple[IntArray, IntArray]:
    """For each place in a sorted array: where those after it of the same group begin and end."""
    return np.arange(1, len(group) + 1), np.searchsorted(group, group, side="right")
