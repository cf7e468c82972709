"""Soft NMS: a score falls with the overlap of better boxes, round after round as in `suppression`.

Paper: https://arxiv.org/abs/1704.04503.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..structures import FloatArray, IntArray
from .suppression import Ranked, iou_of_shapes, pairs_in_groups, rest_of_group, shapes_of

SOFT_PAIRS = 1 << 22  # pairs that soft NMS holds at once, unless a single group has more
UNIT = 2.0**40  # soft NMS counts in whole numbers of 1 / UNIT of a natural logarithm
GONE = 150.0  # a decay by exp(−150) leaves 0 of any float32


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
    shapes = shapes_of(ranked.boxes[order])
    low, high = rest_of_group(ranked.group[order])
    level = np.rint(np.log(ranked.scores[order].astype(np.float64)) * UNIT).astype(np.int64)
    floor = _floor(min_score)

    pairs_until = np.concatenate([[0], np.cumsum(high - low)])
    part = pairs_until[high] // SOFT_PAIRS  # the same for all of a group
    for number in np.unique(part):
        first = np.flatnonzero(part == number)
        pairs = list(
            pairs_in_groups(
                shapes,
                first,
                np.arange(len(order)),
                low[first],
                high[first],
                iou_of_shapes,
                threshold,
            )
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
