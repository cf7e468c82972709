"""Horizontal and vertical flips."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from ..structures import Sample
from .checks import check_shares


@dataclass(frozen=True)
class HorizontalFlip:
    """Random horizontal flip.

    Args:
        probability: of doing so.
    """

    probability: float = 0.5

    def __post_init__(self) -> None:
        check_shares(self, "probability")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if rng.random() >= self.probability:
            return sample
        image = np.empty_like(sample.image)
        cv2.flip(sample.image, 1, image)
        boxes = sample.boxes.copy()
        boxes[:, [0, 2]] = image.shape[1] - boxes[:, [2, 0]]
        return replace(sample, image=image, boxes=boxes)


@dataclass(frozen=True)
class VerticalFlip:
    """Random vertical flip.

    Args:
        probability: of doing so.
    """

    probability: float = 0.5

    def __post_init__(self) -> None:
        check_shares(self, "probability")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if rng.random() >= self.probability:
            return sample
        image = np.empty_like(sample.image)
        cv2.flip(sample.image, 0, image)
        boxes = sample.boxes.copy()
        boxes[:, [1, 3]] = image.shape[0] - boxes[:, [3, 1]]
        return replace(sample, image=image, boxes=boxes)
