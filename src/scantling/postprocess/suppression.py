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
SOFT_PAIRS = 1 << 22  # pairs that soft NMS holds at once, unless a single group has more
WORTH = 0.7  # share of the boxes that a round of leaders may leave if another is to follow
UNIT = 2.0**40  # soft NMS counts in whole numbers of 1 / UNIT of a natural logarithm
GONE = 150.0  # a decay by exp(−150) leaves 0 of any float32


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
        return _iou(a, b) if beta is None else distance_iou(a[:4].T, b[:4].T, beta=beta)

    shapes = _shapes(ranked.boxes)
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


def soft_linear(ranked: Ranked, *, threshold: float, min_score: float) -> FloatArray:
    """Multiply a score by 1 − IoU for each better box that overlaps it by more than `threshold`.

    Returns:
        (S,) scores; what falls to `min_score` or below no longer affects others.
    """
    return _decay(ranked, threshold, min_score, lambda overlap: -np.log1p(-overlap))


def soft_gaussian(ranked: Ranked, *, sigma: float, min_score: float) -> FloatArray:
    """Multiply a score by exp(−IoU² / sigma) for each better box that overlaps it.

    Returns:
        (S,) scores; what falls to `min_score` or below no longer affects others.
    """
    return _decay(ranked, 0.0, min_score, lambda overlap: overlap * overlap / sigma)


def _shapes(boxes: FloatArray) -> FloatArray:
    """(5, S) left, top, right, bottom and area of each box: compared often, so kept together."""
    with np.errstate(over="ignore", invalid="ignore"):  # boxes as wide as float32 allows
        return np.concatenate([boxes.T, area(boxes)[None]])


def _iou(a: FloatArray, b: FloatArray) -> FloatArray:
    """As `boxes.iou`, of `_shapes`; NaN, which is above nothing, where neither box has an area."""
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


def _pairs(
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
    for i, _, _ in _pairs(shapes, current, kept, low, high, measure, threshold):
        found[i] = True
    return found


def _settle(
    group: IntArray, shapes: FloatArray, current: IntArray, measure: Measure, threshold: float
) -> IntArray:
    """Greedy NMS among the current boxes alone, which stand best first in each group."""
    current = current[np.argsort(group[current], kind="stable")]
    led, current = _follow_leaders(group, shapes, current, measure, threshold)
    low, high = _rest_of_group(group[current])
    found = list(_pairs(shapes, current, current, low, high, measure, threshold))
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


def _rest_of_group(group: IntArray) -> tuple[IntArray, IntArray]:
    """For each place in a sorted array: where those after it of the same group begin and end."""
    return np.arange(1, len(group) + 1), np.searchsorted(group, group, side="right")


def _decay(
    ranked: Ranked,
    threshold: float,
    min_score: float,
    weigh: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> FloatArray:
    """Soft NMS, some groups at a time.

    A product of floats depends on the order of its factors, and with it would the ranking of boxes
    that are nearly equal. So the logarithms are added, rounded to whole numbers.
    """
    order = np.argsort(ranked.group, kind="stable")
    shapes = _shapes(ranked.boxes[order])
    low, high = _rest_of_group(ranked.group[order])
    level = np.rint(np.log(ranked.scores[order].astype(np.float64)) * UNIT).astype(np.int64)
    floor = _floor(min_score)

    pairs_until = np.concatenate([[0], np.cumsum(high - low)])
    part = pairs_until[high] // SOFT_PAIRS  # the same for all of a group
    for number in np.unique(part):
        first = np.flatnonzero(part == number)
        pairs = list(
            _pairs(shapes, first, np.arange(len(order)), low[first], high[first], _iou, threshold)
        )
        a = np.concatenate([first[i] for i, _, _ in pairs]).astype(np.int32)
        b = np.concatenate([j for _, j, _ in pairs]).astype(np.int32)
        overlap = np.concatenate([found for _, _, found in pairs]).astype(np.float64)
        with np.errstate(divide="ignore", over="ignore"):
            weight = np.minimum(weigh(overlap), GONE)
        _settle_softly(level, a, b, np.rint(weight * UNIT).astype(np.int64), floor)
    scores = np.empty_like(ranked.scores)
    with np.errstate(under="ignore"):
        scores[order] = np.exp(level / UNIT)
    return scores


def _floor(min_score: float) -> int:
    """The level at which a box no longer counts."""
    level = np.log(np.float64(np.float32(min_score))) if min_score > 0 else -GONE
    return int(np.rint(level * UNIT))


def _settle_softly(
    level: IntArray, a: NDArray[np.int32], b: NDArray[np.int32], weight: IntArray, floor: int
) -> None:
    """Lower `level`, in place, until every box is settled.

    A box above all its unsettled neighbours is settled: levels only fall, so the sequential
    algorithm will take it before any of them. Then they are lowered for it, once.

    Args:
        level: (S,) scaled logarithms of the scores.
        a: one box of each overlapping pair, the one that wins where levels are equal.
        b: the other box of each.
        weight: by how much the better of them lowers the other.
        floor: a box at or below it lowers nobody.
    """
    while len(a):
        a_wins = level[a] >= level[b]
        better, worse = np.where(a_wins, a, b), np.where(a_wins, b, a)
        contested = np.zeros(len(level), np.bool_)
        contested[worse] = True
        open_ = contested[better]
        np.subtract.at(level, worse[~open_], weight[~open_])
        open_ &= level[worse] > floor
        a, b, weight = a[open_], b[open_], weight[open_]
