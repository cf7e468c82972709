"""Geometry of transforms: flips; warp images and boxes by one matrix, clip and filter boxes.

Coordinates are continuous, as those of boxes: the first pixel reaches from 0 to 1, its centre is
at one half. Matrices are (3, 3) and act on (x, y, 1).
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ..structures import FloatArray, Image, Sample
from .create import Colour, check_shares

Matrix = NDArray[np.float64]
Flags = NDArray[np.bool_]


def scaling(x: float, y: float) -> Matrix:
    """Scaling matrix."""
    return np.diag([x, y, 1.0])


def translation(x: float, y: float) -> Matrix:
    """Translation matrix, in pixels right and down."""
    return np.array([[1.0, 0, x], [0, 1, y], [0, 0, 1]])


def mirror(width: float) -> Matrix:
    """Horizontal flip matrix, within `width` pixels."""
    return np.array([[-1.0, 0, width], [0, 1, 0], [0, 0, 1]])


def warp(
    image: Image, matrix: Matrix, image_size: tuple[int, int], *, fill: Colour | None = None
) -> Image:
    """Warp an image by `matrix`, bilinear, with pixels taken at their centres.

    Args:
        image: (H, W, 3) uint8.
        matrix: (3, 3), from the image to the result; invertible.
        image_size: (height, width) of the result.
        fill: what stands where the image does not reach; None repeats its edge.

    Returns:
        (height, width, 3) uint8, always a new array.
    """
    centred = translation(-0.5, -0.5) @ matrix @ translation(0.5, 0.5)
    height, width = image_size
    border = cv2.BORDER_REPLICATE if fill is None else cv2.BORDER_CONSTANT
    colour = (0, 0, 0) if fill is None else as_rgb(fill)
    out = np.empty((height, width, 3), np.uint8)
    if (matrix[2] == (0, 0, 1)).all():
        cv2.warpAffine(image, centred[:2], (width, height), out, cv2.INTER_LINEAR, border, colour)
    else:
        cv2.warpPerspective(image, centred, (width, height), out, cv2.INTER_LINEAR, border, colour)
    return out


def plain_image(image_size: tuple[int, int], colour: Colour) -> Image:
    """A new image of (height, width) in one colour."""
    height, width = image_size
    row = np.empty((width, 3), np.uint8)
    row[...] = colour
    return np.repeat(row[None], height, axis=0)  # whole rows: many times faster than pixels


def as_rgb(colour: Colour) -> tuple[int, int, int]:
    """Red, green and blue of a colour."""
    return colour if isinstance(colour, tuple) else (colour, colour, colour)


def mean_colour(image: Image) -> tuple[int, int, int]:
    """The mean red, green and blue of an image, rounded; of a large one, of about 128 rows."""
    red, green, blue, _ = cv2.mean(image[:: max(1, len(image) // 128)])
    return round(red), round(green), round(blue)


def move_boxes(boxes: FloatArray, matrix: Matrix) -> NDArray[np.float64]:
    """Transform boxes by a matrix: the upright box around the four moved corners.

    Args:
        boxes: (M, 4) xyxy.
        matrix: (3, 3).

    Returns:
        (M, 4) float64, not clipped; NaN where a corner lies behind the horizon of a perspective.
    """
    corners = np.ones((len(boxes), 4, 3))
    corners[:, :, :2] = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    moved = corners @ matrix.T
    depth = moved[:, :, 2:]
    points = moved[:, :, :2] / np.where(depth > 1e-6, depth, np.nan)
    return np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)


def clip_boxes(
    boxes: NDArray[np.floating], image_size: tuple[int, int], *, left: int = 0, top: int = 0
) -> FloatArray:
    """Clip boxes to an area of (height, width) at (left, top); float32."""
    height, width = image_size
    low = np.array([left, top, left, top], np.float32)
    high = np.array([left + width, top + height] * 2, np.float32)
    return np.clip(boxes.astype(np.float32), low, high)


def sides(boxes: NDArray[np.floating]) -> NDArray[np.floating]:
    """(M, 2) width and height of each box."""
    return boxes[:, 2:] - boxes[:, :2]


def large_enough(boxes: FloatArray, pixels: float) -> Flags:
    """(M,) whether both sides have at least so many pixels, and more than none."""
    lengths = sides(boxes)
    return np.asarray(((lengths >= pixels) & (lengths > 0)).all(axis=1))


def with_boxes(sample: Sample, image: Image, boxes: FloatArray, kept: Flags) -> Sample:
    """Replace the image and boxes of a sample, keeping the flagged boxes."""
    return replace(
        sample, image=image, boxes=boxes[kept], labels=sample.labels[kept], crowd=sample.crowd[kept]
    )


def joined(image: Image, parts: list[Sample]) -> Sample:
    """Concatenate the objects of several samples on one image; the id is that of the first."""
    return Sample(
        image=image,
        boxes=np.concatenate([part.boxes for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        crowd=np.concatenate([part.crowd for part in parts]),
        image_id=parts[0].image_id,
    )


@dataclass(frozen=True)
class _Flip:
    axis: ClassVar[int]  # of the image

    probability: float = 0.5

    def __post_init__(self) -> None:
        check_shares(self, "probability")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if rng.random() >= self.probability:
            return sample
        image = np.empty_like(sample.image)
        cv2.flip(sample.image, self.axis, image)
        boxes = sample.boxes.copy()
        low = 1 - self.axis  # column of the boxes' sides on this axis; the other is two further
        boxes[:, [low, low + 2]] = image.shape[self.axis] - boxes[:, [low + 2, low]]
        return replace(sample, image=image, boxes=boxes)


class HorizontalFlip(_Flip):
    """Random horizontal flip.

    Args:
        probability: of doing so.
    """

    axis = 1


class VerticalFlip(_Flip):
    """Random vertical flip.

    Args:
        probability: of doing so.
    """

    axis = 0
