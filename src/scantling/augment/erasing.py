"""Erasing transforms: CutOut, Random Erasing, Hide-and-Seek, GridMask.

No box moves. A box of which more than `max_covered` is hidden is dropped, since nothing is left
of the object to be learnt; with `max_covered=1` every box stays, as in the papers, which are about
classification.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..structures import FloatArray, Image, Sample
from .create import Colour, check_colour, check_range, check_shares, check_whole
from .geometry import mean_colour, plain_image, with_boxes

Mask = NDArray[np.uint8]  # (H, W), 1 where the image is hidden


@dataclass(frozen=True)
class CutOut:
    """CutOut: erase squares of a fixed size, centred anywhere.

    Args:
        holes: number of squares.
        size: side of a square, as a share of the image's shorter side.
        fill: colour of a square; None is the mean colour of the image.
        max_covered: share of a box that may be hidden before the box is dropped.
        probability: of doing so.

    Paper: https://arxiv.org/abs/1708.04552.
    """

    holes: int = 1
    size: float = 0.25
    fill: Colour | None = None
    max_covered: float = 0.9
    probability: float = 0.5

    def __post_init__(self) -> None:
        check_whole("CutOut.holes", self.holes, 1, 10_000)
        check_shares(self, "size", "max_covered", "probability")
        _check_optional_colour("CutOut.fill", self.fill)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if rng.random() >= self.probability:
            return sample
        height, width = sample.image.shape[:2]
        half = self.size * min(height, width) / 2
        centres = rng.random((self.holes, 2)) * (width, height)
        low = np.maximum(np.rint(centres - half), 0).astype(int)
        high = np.maximum(np.rint(centres + half), 0).astype(int)
        mask = np.zeros((height, width), np.uint8)
        for (left, top), (right, bottom) in zip(low.tolist(), high.tolist(), strict=True):
            mask[top:bottom, left:right] = 1
        return _hide(sample, mask, _colour(sample.image, self.fill), self.max_covered)


@dataclass(frozen=True)
class RandomErase:
    """Random erasing: replace one rectangle of random size and aspect ratio.

    Args:
        area: least and largest area of the rectangle, as shares of the image.
        aspect: least and largest height over width.
        fill: colour of the rectangle; None is random noise, which the paper found best.
        max_covered: share of a box that may be hidden before the box is dropped.
        probability: of doing so.

    Paper: https://arxiv.org/abs/1708.04896.
    """

    area: tuple[float, float] = (0.02, 0.4)
    aspect: tuple[float, float] = (0.3, 1 / 0.3)
    fill: Colour | None = None
    max_covered: float = 0.9
    probability: float = 0.5

    def __post_init__(self) -> None:
        check_range("RandomErase.area", self.area, 0, 1)
        check_range("RandomErase.aspect", self.aspect, 0.01, 100)
        check_shares(self, "max_covered", "probability")
        _check_optional_colour("RandomErase.fill", self.fill)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if rng.random() >= self.probability:
            return sample
        height, width = sample.image.shape[:2]
        area = rng.uniform(*self.area) * height * width
        aspect = np.exp(rng.uniform(*np.log(self.aspect)))
        tall = min(height, round(np.sqrt(area * aspect)))
        wide = min(width, round(np.sqrt(area / aspect)))
        top = int(rng.integers(height - tall + 1))
        left = int(rng.integers(width - wide + 1))
        mask = np.zeros((height, width), np.uint8)
        mask[top : top + tall, left : left + wide] = 1
        paint = plain_image((height, width), self.fill or 0)
        if self.fill is None:
            noise = rng.integers(0, 256, (tall, wide, 3), dtype=np.uint8)
            paint[top : top + tall, left : left + wide] = noise
        return _hide(sample, mask, paint, self.max_covered)


@dataclass(frozen=True)
class HideAndSeek:
    """Hide-and-Seek: erase each patch of a grid with the same probability.

    Args:
        patches: patches along each side.
        share: chance of a patch to be hidden.
        fill: colour of a hidden patch; None is the mean colour of the image.
        max_covered: share of a box that may be hidden before the box is dropped.
        probability: of doing so.

    Paper: https://arxiv.org/abs/1811.02545. It hides half of the patches and fills with the mean
    of the data set.
    """

    patches: int = 8
    share: float = 0.5
    fill: Colour | None = None
    max_covered: float = 0.9
    probability: float = 0.5

    def __post_init__(self) -> None:
        check_whole("HideAndSeek.patches", self.patches, 1, 1024)
        check_shares(self, "share", "max_covered", "probability")
        _check_optional_colour("HideAndSeek.fill", self.fill)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if rng.random() >= self.probability:
            return sample
        height, width = sample.image.shape[:2]
        hidden = (rng.random((self.patches, self.patches)) < self.share).astype(np.uint8)
        rows = np.arange(height) * self.patches // height
        columns = np.arange(width) * self.patches // width
        mask = np.ascontiguousarray(hidden[rows][:, columns])
        return _hide(sample, mask, _colour(sample.image, self.fill), self.max_covered)


@dataclass(frozen=True)
class GridMask:
    """GridMask: erase a regular grid of squares.

    Args:
        period: least and largest distance from one square to the next, as shares of the image's
            shorter side.
        keep: share of the period, along each axis, that stays visible between two squares.
        fill: colour of a square; None is the mean colour of the image.
        max_covered: share of a box that may be hidden before the box is dropped.
        probability: of doing so.

    Paper: https://arxiv.org/abs/2001.04086; the grid is not rotated here.
    """

    period: tuple[float, float] = (0.15, 0.45)
    keep: float = 0.6
    fill: Colour | None = None
    max_covered: float = 0.9
    probability: float = 0.5

    def __post_init__(self) -> None:
        check_range("GridMask.period", self.period, 0.001, 10)
        check_shares(self, "keep", "max_covered", "probability")
        _check_optional_colour("GridMask.fill", self.fill)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if rng.random() >= self.probability:
            return sample
        height, width = sample.image.shape[:2]
        period = max(2, round(rng.uniform(*self.period) * min(height, width)))
        hidden = round(period * (1 - self.keep))
        offset_y, offset_x = rng.integers(period, size=2)
        rows = (np.arange(height) + offset_y) % period < hidden
        columns = (np.arange(width) + offset_x) % period < hidden
        mask = (rows[:, None] & columns).astype(np.uint8)
        return _hide(sample, mask, _colour(sample.image, self.fill), self.max_covered)


def covered_share(boxes: FloatArray, mask: Mask) -> NDArray[np.float64]:
    """Erased share of the area of each box.

    Args:
        boxes: (M, 4) xyxy in pixels, inside the mask.
        mask: (H, W), 1 where the image is hidden.

    Returns:
        (M,), 0 to 1, counted on the whole pixels that a box touches.
    """
    totals = cv2.integral(mask)
    left, top = np.floor(boxes[:, :2]).astype(int).T
    right, bottom = np.ceil(boxes[:, 2:]).astype(int).T
    hidden = totals[bottom, right] - totals[top, right] - totals[bottom, left] + totals[top, left]
    return np.asarray(hidden / np.maximum((bottom - top) * (right - left), 1), np.float64)


def _hide(sample: Sample, mask: Mask, paint: Image, max_covered: float) -> Sample:
    """Paste `paint` where the mask is set, and drop the boxes that it covers."""
    image = sample.image.copy()
    cv2.copyTo(paint, mask, image)
    kept = np.ones(len(sample.boxes), np.bool_)
    if max_covered < 1 and len(sample.boxes):
        kept = covered_share(sample.boxes, mask) <= max_covered
    return with_boxes(sample, image, sample.boxes, kept)


def _colour(image: Image, fill: Colour | None) -> Image:
    """An image of one colour in the size of another; its mean colour by default."""
    height, width = image.shape[:2]
    return plain_image((height, width), mean_colour(image) if fill is None else fill)


def _check_optional_colour(setting: str, fill: object) -> None:
    if fill is not None:
        check_colour(setting, fill)
