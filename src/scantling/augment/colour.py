"""Colour transforms by look-up tables: boxes stay as they are."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from ..structures import Image, Sample
from .create import check_number, check_shares
from .geometry import mean_colour

_LEVELS = np.arange(256, dtype=np.float64)
_HUES = 180  # OpenCV's 8-bit hue counts in steps of two degrees


@dataclass(frozen=True)
class Brightness:
    """Random brightness: add one number to all pixels.

    Args:
        amount: largest change, as a share of the range: ± amount · 255, uniform.
        probability: of doing so.
    """

    amount: float = 0.2
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_shares(self, "amount", "probability")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if rng.random() >= self.probability:
            return sample
        change = 255 * self.amount * rng.uniform(-1, 1)
        return replace(sample, image=_look_up(sample.image, _as_levels(_LEVELS + change)))


@dataclass(frozen=True)
class Contrast:
    """Random contrast around the mean colour of the image.

    Args:
        amount: the factor is uniform in 1 ± amount.
        probability: of doing so.
    """

    amount: float = 0.2
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_shares(self, "amount", "probability")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if rng.random() >= self.probability:
            return sample
        factor = 1 + self.amount * rng.uniform(-1, 1)
        mean = np.array(mean_colour(sample.image))
        table = _as_levels(mean + (_LEVELS[:, None] - mean) * factor)
        return replace(sample, image=_look_up(sample.image, table))


@dataclass(frozen=True)
class DarknetColour:
    """Darknet's HSV jitter: hue shifted, saturation and exposure multiplied.

    Args:
        saturation: the factor is uniform in 1 to this, or its inverse, each half of the time.
        exposure: likewise, of the value of HSV.
        hue: the shift is uniform in ± this share of the circle. As in darknet, one that goes below
            red stays at red.

    Source: darknet's `image_data_augmentation`, on 8-bit HSV.
    """

    saturation: float = 1.5
    exposure: float = 1.5
    hue: float = 0.1

    def __post_init__(self) -> None:
        check_number("DarknetColour.saturation", self.saturation, 1, 100)
        check_number("DarknetColour.exposure", self.exposure, 1, 100)
        check_number("DarknetColour.hue", self.hue, 0, 1)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        return replace(sample, image=self.change(sample.image, rng))

    def change(self, image: Image, rng: np.random.Generator) -> Image:
        """The same for an image alone; a new array."""
        hue = (_HUES - 1) * self.hue * rng.uniform(-1, 1)
        saturation = _factor(self.saturation, rng)
        exposure = _factor(self.exposure, rng)
        hues = np.maximum(np.rint(_LEVELS + hue), 0) % _HUES
        return _through_hsv(image, hues, _LEVELS * saturation, _LEVELS * exposure)


@dataclass(frozen=True)
class HsvGains:
    """HSV jitter: hue, saturation and value, each multiplied by a factor near 1.

    Args:
        hue: the factor is uniform in 1 ± this; the product goes round the circle.
        saturation: likewise; cut off at the ends.
        value: likewise; cut off at the ends.

    Source: the HSV gains of Scaled-YOLOv4's training.
    """

    hue: float = 0.015
    saturation: float = 0.7
    value: float = 0.4

    def __post_init__(self) -> None:
        check_shares(self, "hue", "saturation", "value")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        gains = 1 + rng.uniform(-1, 1, 3) * (self.hue, self.saturation, self.value)
        hues = np.floor(_LEVELS * gains[0]) % _HUES
        image = _through_hsv(sample.image, hues, _LEVELS * gains[1], _LEVELS * gains[2])
        return replace(sample, image=image)


def _factor(largest: float, rng: np.random.Generator) -> float:
    """Uniform in 1 to `largest`, or its inverse, each half of the time."""
    factor = float(rng.uniform(1, largest))
    return factor if rng.random() < 0.5 else 1 / factor


def _as_levels(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _look_up(image: Image, table: NDArray[np.uint8]) -> Image:
    """A table of (256,), or of (256, 3) with a column a channel, applied to every pixel."""
    out = np.empty_like(image)
    columns = table.reshape(256, -1)
    cv2.LUT(image, np.ascontiguousarray(np.broadcast_to(columns, (256, 3))[None]), out)
    return out


def _through_hsv(
    image: Image,
    hues: NDArray[np.float64],
    saturations: NDArray[np.float64],
    values: NDArray[np.float64],
) -> Image:
    """The image with its hue, saturation and value looked up in tables of 256."""
    table = np.stack([_as_levels(hues), _as_levels(saturations), _as_levels(values)], axis=1)
    hsv = np.empty_like(image)
    cv2.cvtColor(image, cv2.COLOR_RGB2HSV, hsv)
    cv2.LUT(hsv, np.ascontiguousarray(table[None]), hsv)
    cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB, hsv)
    return hsv
