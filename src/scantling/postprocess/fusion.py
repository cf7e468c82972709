"""Weighted box fusion: boxes that show one object become their mean, instead of all but the best.

Paper: https://arxiv.org/abs/1910.13302. Boxes of different groups never meet, so that the n-th box
of every group is dealt with at once; the result is that of one box after the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..boxes import iou
from ..structures import FloatArray, IntArray
from .suppression import Ranked

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Regions:
    """Where the views of some images lay, V of them, ordered by image."""

    boxes: FloatArray  # (V, 4) xyxy, in the unit of the candidates
    image: IntArray  # (V,)


def fuse(ranked: Ranked, *, threshold: float, regions: Regions | None = None) -> Ranked:
    """Fuse the boxes of a group that overlap into one.

    Best first, a box joins the cluster whose fused box it overlaps most, or founds its own. A fused
    box is the mean of its cluster, weighted by score, and its score their mean score; that is
    multiplied by min(T, N) / N, where T boxes were fused and N views could have shown the object:
    what few of them show counts for less. In the paper a view is a model, and sees the whole image;
    here N counts the views with the centre of the fused box within them.

    Args:
        ranked: the candidates.
        threshold: the overlap above which a box joins a cluster.
        regions: where the views lay; without, every image had one.

    Returns:
        The fused boxes, by image and group, not by score. One has the label of the best box of its
        cluster.
    """
    if not len(ranked.scores):
        return ranked
    member = _cluster(ranked, threshold)
    first = np.unique(member, return_index=True)[1]
    weights = np.bincount(member, ranked.scores)
    sums = [np.bincount(member, ranked.scores * side) for side in ranked.boxes.T.astype(np.float64)]
    boxes = np.stack(sums, 1) / weights[:, None]
    sizes = np.bincount(member)
    views = _count_views(boxes, ranked.image[first], regions)
    scores = weights / sizes * np.minimum(sizes, views) / views
    return Ranked(
        boxes.astype(np.float32),
        scores.astype(np.float32),
        ranked.labels[first],
        ranked.image[first],
        ranked.group[first],
        ranked.images,
    )


def _cluster(ranked: Ranked, threshold: float) -> IntArray:
    """(S,) the number of each box's cluster; the clusters of a group are numbered together."""
    _, group, sizes = np.unique(ranked.group, return_inverse=True, return_counts=True)
    largest = np.argsort(-sizes, kind="stable")  # so that the groups still at work are the first
    row = np.empty_like(largest)
    row[largest] = np.arange(len(largest))
    order = np.argsort(row[group], kind="stable")  # group after group, in each the best first
    sizes = sizes[largest]
    starts = np.cumsum(sizes) - sizes
    boxes = ranked.boxes[order].astype(np.float64)
    scores = ranked.scores[order].astype(np.float64)
    slots = np.empty(len(order), np.int64)
    state = _Clusters(len(sizes))
    for turn in range(int(sizes[0])):
        active = int(np.searchsorted(-sizes, -turn))  # this many groups have more boxes than that
        current = starts[:active] + turn
        slots[current] = state.add(boxes[current], scores[current], threshold)
    ends = np.cumsum(state.used)
    number = slots + np.repeat(ends - state.used, sizes)
    clusters = np.empty_like(number)
    clusters[order] = number
    return clusters


class _Clusters:
    """The clusters of every group so far: a row a group, a column a cluster."""

    def __init__(self, groups: int) -> None:
        self.used = np.zeros(groups, np.int64)
        self._fused = np.zeros((groups, 8, 4))
        self._sums = np.zeros((groups, 8, 4))
        self._weights = np.zeros((groups, 8))

    def add(self, boxes: Doubles, scores: Doubles, threshold: float) -> IntArray:
        """Add one box to each of the first groups; the column where each went."""
        rows = np.arange(len(boxes))
        used = self.used[: len(boxes)]
        width = max(1, int(used.max()))
        overlap = iou(self._fused[: len(boxes), :width], boxes[:, None])
        best = overlap.argmax(1)
        new = ~(overlap[rows, best] > threshold)
        column = np.where(new, used, best)
        if column.max() >= self._weights.shape[1]:
            self._grow()
        self._sums[rows, column] += boxes * scores[:, None]
        self._weights[rows, column] += scores
        self._fused[rows, column] = self._sums[rows, column] / self._weights[rows, column, None]
        self.used[: len(boxes)] += new
        found: IntArray = column
        return found

    def _grow(self) -> None:
        """Twice the columns. An empty one holds a box without area, which overlaps nothing."""
        self._fused = np.concatenate([self._fused, np.zeros_like(self._fused)], 1)
        self._sums = np.concatenate([self._sums, np.zeros_like(self._sums)], 1)
        self._weights = np.concatenate([self._weights, np.zeros_like(self._weights)], 1)


def _count_views(boxes: Doubles, image: IntArray, regions: Regions | None) -> IntArray:
    """(F,) how many views of its image hold the centre of each box, at least 1."""
    counts = np.ones(len(boxes), np.int64)
    if regions is None:
        return counts
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    for number in np.unique(image):
        views = regions.boxes[regions.image == number]
        if len(views) < 2:
            continue
        own = np.flatnonzero(image == number)
        # what lies beyond the edge of the image counts as lying on it
        inside = np.clip(centres[own], views[:, :2].min(0), views[:, 2:].max(0))[:, None]
        seen = (inside >= views[:, :2]) & (inside <= views[:, 2:])
        counts[own] = np.maximum(1, seen.all(2).sum(1))
    return counts
