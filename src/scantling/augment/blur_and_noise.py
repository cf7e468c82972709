"""Noise and blur: boxes stay as they are."""

from dataclasses import dataclass, replace
from functools import cache
from statistics import NormalDist
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidValue
from ..structures import FloatArray, Image, Sample
from .create import check_number, check_shares, check_whole
from .geometry import sides

BlurMode = Literal["none", "background", "whole"]
_BLUR_MODES = ("none", "background", "whole")


@dataclass(frozen=True)
class GaussianNoise:
    """Add independent normal noise to every value, up to 2.9 standard deviations.

    The noise has 256 steps of equal chance, which makes it five times as fast as exact draws.

    Args:
        sigma: standard deviation, in levels of 0 to 255; at most 127, as darknet's.
        probability: of doing so.

    Source: darknet's `gaussian_noise`.
    """

    sigma: float = 10.0
    probability: float = 0.5

    def __post_init__(self) -> None:
        check_number("GaussianNoise.sigma", self.sigma, 0, 127)
        check_shares(self, "probability")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if rng.random() >= self.probability:
            return sample
        drawn = rng.integers(0, 256, sample.image.shape, dtype=np.uint8)
        noise = cv2.LUT(drawn, np.rint(self.sigma * _normal_levels()).astype(np.int16))
        image = np.empty_like(sample.image)
        cv2.add(sample.image, noise, image, dtype=cv2.CV_8U)
        return replace(sample, image=image)


@dataclass(frozen=True)
class Blur:
    """Random Gaussian blur of the whole image or of its background.

    Args:
        kernel: side of the Gaussian kernel for a whole image, in pixels; an even one is made the
            next odd one. It is held to an eighth of the shortest side of any object, so that no
            object is lost.
        background: the same where objects are kept as they are.
        modes: what may be done, one drawn for each image: `none`, `background`, `whole`.

    Source: darknet's `blur`, whose background is blurred by 17 × 17.
    """

    kernel: int = 17
    background: int = 17
    modes: tuple[BlurMode, ...] = ("none", "background", "whole")

    def __post_init__(self) -> None:
        check_whole("Blur.kernel", self.kernel, 1, 255)
        check_whole("Blur.background", self.background, 1, 255)
        known = isinstance(self.modes, tuple) and all(mode in _BLUR_MODES for mode in self.modes)
        if not known or not self.modes:
            raise InvalidValue("Blur.modes", self.modes, "some of " + ", ".join(_BLUR_MODES))

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        mode = self.modes[int(rng.integers(len(self.modes)))]
        if mode == "none":
            return sample
        kernel = self.background if mode == "background" else self.kernel
        if mode == "whole" and len(sample.boxes):
            kernel = min(kernel, int(sides(sample.boxes).min() / 8))
        image = _blur(sample.image, kernel)
        if mode == "background":
            _copy_objects(sample.image, image, sample.boxes)
        return replace(sample, image=image)


@cache
def _normal_levels() -> NDArray[np.float64]:
    """(256,) the middles of 256 steps of the normal distribution, with standard deviation 1."""
    levels = np.array([NormalDist().inv_cdf((step + 0.5) / 256) for step in range(256)])
    return np.asarray(levels / levels.std())


def _blur(image: Image, kernel: int) -> Image:
    odd = kernel // 2 * 2 + 1
    blurred = np.empty_like(image)
    cv2.GaussianBlur(image, (odd, odd), 0, blurred)
    return blurred


def _copy_objects(source: Image, target: Image, boxes: FloatArray) -> None:
    """Copy what lies in the boxes, a rectangle each, from one image into another."""
    low = np.floor(boxes[:, :2]).astype(int)
    high = np.ceil(boxes[:, 2:]).astype(int)
    for (left, top), (right, bottom) in zip(low.tolist(), high.tolist(), strict=True):
        target[top:bottom, left:right] = source[top:bottom, left:right]
