"""MixUp and CutMix."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from ..structures import FloatArray, Image, Sample
from .create import Colour, check_colour, check_count, check_number, check_shares
from .geometry import clip_boxes, joined, large_enough, plain_image, sides, with_boxes


@dataclass(frozen=True)
class MixUp:
    """MixUp: blend two images and keep the objects of both.

    Images of other sizes are first laid on one canvas that holds both, at the top left.

    Args:
        beta: the share of the first image is drawn from Beta(beta, beta); Scaled-YOLOv4 takes 8.
            0 is always one half, as darknet's `mixup=1`.
        pad_value: colour of the canvas where an image does not reach.

    Paper: https://arxiv.org/abs/1710.09412.
    """

    samples_needed: ClassVar[int] = 2

    beta: float = 8.0
    pad_value: Colour = 114

    def __post_init__(self) -> None:
        check_number("MixUp.beta", self.beta, 0, 1000)
        check_colour("MixUp.pad_value", self.pad_value)

    def __call__(self, samples: Sequence[Sample], rng: np.random.Generator) -> Sample:
        check_count(samples, self.samples_needed, "MixUp")
        share = float(rng.beta(self.beta, self.beta)) if self.beta else 0.5
        first, second = _same_size(samples, self.pad_value)
        image = np.empty_like(first)
        cv2.addWeighted(first, share, second, 1 - share, 0, image)
        return joined(image, list(samples))


@dataclass(frozen=True)
class CutMix:
    """CutMix: paste a rectangle of the second image into the first, at the same place.

    Boxes of the second image are cut off at the rectangle. Boxes of the first shrink to what is
    still seen of them. Of either, one stays if at least `min_visible` of its area is still seen.
    Images of other sizes are first laid on one canvas that holds both, at the top left.

    Args:
        beta: the share of the first image is drawn from Beta(beta, beta); the paper takes 1,
            which is uniform.
        min_visible: share of a box's area that must be seen.
        pad_value: colour of the canvas where an image does not reach.

    Paper: https://arxiv.org/abs/1905.04899, which mixes the labels of a classifier; the rule for
    boxes is ours. Darknet has CutMix for classifiers only.
    """

    samples_needed: ClassVar[int] = 2

    beta: float = 1.0
    min_visible: float = 0.25
    pad_value: Colour = 114

    def __post_init__(self) -> None:
        check_number("CutMix.beta", self.beta, 0.001, 1000)
        check_shares(self, "min_visible")
        check_colour("CutMix.pad_value", self.pad_value)

    def __call__(self, samples: Sequence[Sample], rng: np.random.Generator) -> Sample:
        check_count(samples, self.samples_needed, "CutMix")
        first, second = _same_size(samples, self.pad_value)
        height, width = first.shape[:2]
        side = np.sqrt(1 - rng.beta(self.beta, self.beta)) / 2
        centre = rng.random(2)
        low, high = np.clip([centre - side, centre + side], 0, 1)
        (left, top), (right, bottom) = np.rint([low * (width, height), high * (width, height)])
        image = first.copy()
        rows, columns = slice(int(top), int(bottom)), slice(int(left), int(right))
        image[rows, columns] = second[rows, columns]
        hole = np.array([left, top, right, bottom], np.float32)
        return joined(image, [self._around(samples[0], hole), self._within(samples[1], hole)])

    def _within(self, sample: Sample, hole: FloatArray) -> Sample:
        """The objects inside the pasted rectangle."""
        left, top, right, bottom = (int(edge) for edge in hole)
        boxes = clip_boxes(sample.boxes, (bottom - top, right - left), left=left, top=top)
        seen = sides(boxes).prod(axis=1) >= self.min_visible * sides(sample.boxes).prod(axis=1)
        return with_boxes(sample, sample.image, boxes, seen & large_enough(boxes, 1))

    def _around(self, sample: Sample, hole: FloatArray) -> Sample:
        """The objects outside the pasted rectangle."""
        boxes = visible_part(sample.boxes, hole)
        overlap_low = np.maximum(sample.boxes[:, :2], hole[:2])
        overlap_high = np.minimum(sample.boxes[:, 2:], hole[2:])
        hidden = np.clip(overlap_high - overlap_low, 0, None).prod(axis=1)
        areas = sides(sample.boxes).prod(axis=1)
        seen = areas - hidden >= self.min_visible * areas
        kept = seen & ((hidden == 0) | large_enough(boxes, 1))
        return with_boxes(sample, sample.image, boxes, kept)


def visible_part(boxes: FloatArray, hole: FloatArray) -> FloatArray:
    """Shrink boxes to what a rectangular hole leaves of them.

    Only a hole that covers a box from side to side makes the box shorter.

    Args:
        boxes: (M, 4) xyxy.
        hole: (4,) xyxy.

    Returns:
        (M, 4); a box that is all covered comes back without area.
    """
    low, high = boxes[:, :2], boxes[:, 2:]
    # does the hole span the box along x, along y?
    spans = (hole[:2] <= low) & (hole[2:] >= high)
    across = spans[:, ::-1]  # an axis is shortened where the other one is spanned
    new_low = np.where(across & (hole[:2] <= low) & (hole[2:] > low), hole[2:], low)
    new_high = np.where(across & (hole[2:] >= high) & (hole[:2] < high), hole[:2], high)
    gone = (new_low >= new_high).any(axis=1, keepdims=True)
    return np.concatenate([new_low, np.where(gone, new_low, new_high)], axis=1)


def _same_size(samples: Sequence[Sample], fill: Colour) -> list[Image]:
    """Pad images to their largest height and width."""
    images = [sample.image for sample in samples]
    height = max(image.shape[0] for image in images)
    width = max(image.shape[1] for image in images)
    if all(image.shape[:2] == (height, width) for image in images):
        return images
    canvases = []
    for image in images:
        canvas = plain_image((height, width), fill)
        canvas[: image.shape[0], : image.shape[1]] = image
        canvases.append(canvas)
    return canvases
