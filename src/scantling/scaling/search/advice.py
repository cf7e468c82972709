"""Advice from a data set's boxes: image size, levels and anchors."""

import math
from dataclasses import dataclass

import numpy as np

from ...datasets.anchors import Anchors, box_sizes, fit_anchors, judge_anchors
from ...datasets.dataset import Dataset
from ...errors import InvalidData, lookup
from ...heads import HEADS
from ...specs import ModelSpec
from .budget import LEAST_CELLS

LEVEL_CELLS = 4.0  # side of the boxes in the middle of a level, in its cells; as EfficientDet's
WASTED = 0.01  # share of the boxes below which a level is not worth its cost
MOST_MISSED = 5  # percent of the boxes that may be too small for the finest level
GENERATIONS = 200


@dataclass(frozen=True)
class DatasetAdvice:
    """Statistics of a data set's boxes on a model's input, and fitted anchors.

    Args:
        boxes: how many there are.
        image: (height, width) that most images have.
        middle: median side of the boxes on the network's input, pixels.
        small: side on the input that 95 % of the boxes reach.
        found: share of the boxes that are large enough for the finest level.
        levels: by stride, the share of the boxes that belongs to the level.
        wasted: strides of the levels that almost no box belongs to.
        image_size: the smallest side of the input at which 95 % of the boxes are large enough.
        own, fitted: how well the anchors of the model fit, and those fitted to the boxes; None
            where the anchors of the model are fixed.
    """

    boxes: int
    image: tuple[int, int]
    middle: float
    small: float
    found: float
    levels: dict[int, float]
    wasted: tuple[int, ...]
    image_size: int
    own: Anchors | None
    fitted: Anchors | None

    def describe(self, side: int) -> list[str]:
        """The advice in sentences.

        Args:
            side: of the model's input.
        """
        shares = ", ".join(f"{share:.1%} at stride {level}" for level, share in self.levels.items())
        lines = [
            f"data: {self.boxes:,} boxes, most in images of {self.image[0]}×{self.image[1]}; on "
            f"this input their median side is {self.middle:.0f} px, and 95 % have {self.small:.0f}"
            f" px or more",
            f"data: {self.found:.1%} are large enough for the finest level; the levels have "
            f"{shares}",
        ]
        if self.image_size > side:
            lines.append(
                f"data: for 95 % of the boxes the input would have to be {self.image_size}: ask "
                "for it with --min-object"
            )
        elif self.image_size <= side // 2:
            lines.append(
                f"data: an input of {self.image_size} would be enough for 95 % of the boxes"
            )
        lines += [
            f"data: the level of stride {stride} is wasted: {self.levels[stride]:.1%} of the boxes "
            "belong to it"
            for stride in self.wasted
        ]
        if self.own and self.fitted:
            lines.append(
                f"data: anchors fitted to the boxes, recall {self.fitted.recall:.1%} instead of "
                f"{self.own.recall:.1%}"
            )
        return lines


def common_image(dataset: Dataset) -> tuple[int, int]:
    """Most common image size of a data set, (height, width).

    Raises:
        InvalidData: the size of no image is known.
    """
    sizes = [image.size for image in dataset.images if image.size is not None]
    if not sizes:
        raise InvalidData(str(dataset.source), "no image can be read", "Check it: data check")
    return max(sorted(set(sizes)), key=sizes.count)


def advise(spec: ModelSpec, dataset: Dataset) -> tuple[ModelSpec, DatasetAdvice]:
    """Fit a model's anchors to a data set, and analyse its boxes.

    A box belongs to the level whose cells are nearest to a quarter of its side.

    Args:
        spec: at the size that it will have.
        dataset: the split that it will be trained on.

    Raises:
        InvalidData: there are no boxes.
    """
    boxes = box_sizes(dataset, spec.image_size)
    if not len(boxes):
        raise InvalidData(str(dataset.source), "no image has a box", "Name another split")
    sides = np.sqrt(np.maximum(boxes.prod(axis=1), 1e-6))
    strides = spec.strides
    nearest = np.clip(
        np.round(np.log2(sides / (LEVEL_CELLS * strides[0]))), 0, len(strides) - 1
    ).astype(int)
    shares = np.bincount(nearest, minlength=len(strides)) / len(sides)
    small = float(np.percentile(sides, MOST_MISSED))
    least = LEAST_CELLS * strides[0]
    own, fitted, changed = None, None, spec
    if lookup(HEADS, spec.head.kind, "head").fits_anchors:
        own, fitted, changed = _with_anchors(spec, boxes)
    advice = DatasetAdvice(
        boxes=len(boxes),
        image=common_image(dataset),
        middle=float(np.median(sides)),
        small=small,
        found=float((sides >= least).mean()),
        levels={stride: float(share) for stride, share in zip(strides, shares, strict=True)},
        wasted=tuple(
            stride for stride, share in zip(strides, shares, strict=True) if share < WASTED
        ),
        image_size=math.ceil(spec.image_size[0] * least / small / spec.size_step) * spec.size_step,
        own=own,
        fitted=fitted,
    )
    return changed, advice


def _with_anchors(
    spec: ModelSpec, boxes: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
) -> tuple[Anchors, Anchors | None, ModelSpec]:
    """Evaluate the model's anchors, fit new ones, and put them into the spec.

    The own ones stay where there are fewer different boxes than anchors, or where they fit better.
    """
    groups = spec.head.anchors
    counts = [len(group) for group in groups]
    own = judge_anchors(boxes, np.array([one for group in groups for one in group], np.float32))
    if len(np.unique(boxes, axis=0)) < sum(counts):
        return own, None, spec
    fitted = fit_anchors(boxes, sum(counts), rng=np.random.default_rng(0), generations=GENERATIONS)
    if fitted.fitness <= own.fitness:
        return own, None, spec
    pairs = [(round(width, 1), round(height, 1)) for width, height in fitted.sizes.tolist()]
    ends = np.cumsum(counts).tolist()
    anchors = tuple(
        tuple(pairs[end - count : end]) for end, count in zip(ends, counts, strict=True)
    )
    return own, fitted, spec.replace(head=spec.head.replace(anchors=anchors))
