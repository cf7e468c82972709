"""Anchors for the boxes of a data set: k-means, then a genetic search.

Source: Scaled-YOLOv4's search (fitness by ratio) and darknet's `calc_anchors` (by overlap).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import InvalidValue
from ..structures import FloatArray, as_size
from .dataset import Dataset

Fitness = Literal["iou", "ratio"]
LEAST_SIDE = 2.0  # pixels; of a box that counts, and of an anchor
ROUNDS = 30  # of k-means
CHANGES = 0.9  # share of the sides that a generation changes
BLOCK = 100_000  # boxes whose fitness is worked out at once


@dataclass(frozen=True, eq=False)
class Anchors:
    """Anchors and how well they fit.

    Args:
        sizes: (A, 2) float32 (width, height) in pixels of the network's input, by area.
        fitness: mean over the boxes of how well the best anchor fits, 0 to 1.
        recall: best possible recall: share of the boxes that some anchor fits well enough.
    """

    sizes: FloatArray
    fitness: float
    recall: float


def box_sizes(dataset: Dataset, image_size: int | tuple[int, int]) -> FloatArray:
    """(T, 2) width and height of every box on the network's input, as a letterbox puts it there.

    Boxes smaller than two pixels on both sides are left out, and so are crowds.
    """
    objects = dataset.objects
    sizes = np.array([image.size or (0, 0) for image in dataset.images], np.float64).reshape(-1, 2)
    with np.errstate(divide="ignore"):
        scales = np.min(np.array(as_size(image_size)) / sizes, axis=1)
    known = np.isfinite(scales[objects.image_index]) & ~objects.crowd
    sides = (objects.boxes[:, 2:] - objects.boxes[:, :2])[known]
    placed = sides * scales[objects.image_index][known][:, None]
    return np.asarray(placed[(placed >= LEAST_SIDE).any(axis=1)], np.float32)


def judge_anchors(
    boxes: FloatArray, anchors: FloatArray, *, fitness: Fitness = "ratio", threshold: float = 4.0
) -> Anchors:
    """Score anchors against boxes: fitness and best possible recall.

    Args:
        boxes: (T, 2) width, height.
        anchors: (A, 2) width, height.
        fitness: `ratio`: the worst of the four ratios between sides; `iou`: overlap when centred.
        threshold: for `ratio` how many times larger or smaller an anchor may be to count as
            fitting; for `iou` the least overlap.
    """
    limit = 1 / threshold if fitness == "ratio" else threshold
    best = _best(boxes, anchors, fitness)
    order = np.argsort(anchors.prod(axis=1), kind="stable")
    return Anchors(
        anchors[order].astype(np.float32),
        fitness=float((best * (best > limit)).mean()) if len(best) else 0.0,
        recall=float((best > limit).mean()) if len(best) else 0.0,
    )


def fit_anchors(
    boxes: FloatArray,
    count: int,
    *,
    rng: np.random.Generator,
    fitness: Fitness = "ratio",
    threshold: float = 4.0,
    generations: int = 1000,
) -> Anchors:
    """Fit anchors to the boxes of a data set by k-means and a genetic search.

    Args:
        boxes: (T, 2) width, height in pixels of the network's input; see `box_sizes`.
        count: how many.
        rng: of the first centres and the genetic search.
        fitness, threshold: as for `judge_anchors`.
        generations: of the search; 0 for k-means alone.

    Raises:
        InvalidValue: there are fewer different boxes than anchors wanted.
    """
    different = np.unique(boxes, axis=0)
    if count < 1 or len(different) < count:
        raise InvalidValue("anchors", count, f"from 1 to {len(different)}, the boxes that differ")
    best = judge_anchors(
        boxes, _k_means(boxes, different, count, rng), fitness=fitness, threshold=threshold
    )
    for _ in range(generations):
        changed = rng.random((count, 2)) < CHANGES
        factor = 1 + changed * rng.random() * rng.standard_normal((count, 2)) * 0.1
        tried = np.maximum(best.sizes * np.clip(factor, 0.3, 3.0), LEAST_SIDE).astype(np.float32)
        found = judge_anchors(boxes, tried, fitness=fitness, threshold=threshold)
        if found.fitness > best.fitness:
            best = found
    return best


def _k_means(
    boxes: FloatArray, different: FloatArray, count: int, rng: np.random.Generator
) -> FloatArray:
    """Cluster centres of the boxes by Lloyd's k-means, sides in units of their spread.

    The first centres are drawn far from one another (k-means++).
    """
    spread = np.maximum(boxes.std(axis=0), 1e-6)
    points, seeds = boxes / spread, different / spread
    centres = seeds[rng.integers(len(seeds))][None]
    while len(centres) < count:
        away = ((seeds[:, None] - centres[None]) ** 2).sum(axis=2).min(axis=1)
        drawn = rng.choice(len(seeds), p=away / away.sum())
        centres = np.concatenate([centres, seeds[drawn][None]])
    for _ in range(ROUNDS):
        distances = ((points[:, None] - centres[None]) ** 2).sum(axis=2)
        nearest = distances.argmin(axis=1)
        sums = np.stack(
            [np.bincount(nearest, points[:, side], minlength=count) for side in (0, 1)], axis=1
        )
        sizes = np.bincount(nearest, minlength=count)[:, None]
        moved = np.where(sizes > 0, sums / np.maximum(sizes, 1), centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return np.asarray(np.maximum(centres * spread, LEAST_SIDE), np.float32)


def _best(boxes: FloatArray, anchors: FloatArray, fitness: Fitness) -> FloatArray:
    """(T,) how well the best anchor fits each box, 0 to 1."""
    parts = []
    for start in range(0, len(boxes), BLOCK):
        part = boxes[start : start + BLOCK, None]
        if fitness == "ratio":
            ratio = part / anchors
            fit = np.minimum(ratio, 1 / ratio).min(axis=2)
        else:
            overlap = np.minimum(part, anchors).prod(axis=2)
            fit = overlap / (part.prod(axis=2) + anchors.prod(axis=1) - overlap)
        parts.append(fit.max(axis=1))
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)
