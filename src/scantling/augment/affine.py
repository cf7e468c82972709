"""Random affine and perspective transform, in one warp."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..structures import FloatArray, Sample
from .create import Colour, check_colour, check_image_size, check_number, check_shares
from .geometry import (
    Flags,
    Matrix,
    clip_boxes,
    move_boxes,
    scaling,
    sides,
    translation,
    warp,
    with_boxes,
)


@dataclass(frozen=True)
class AffineRanges:
    """Ranges of a random affine transform; all are sampled uniformly.

    Args:
        degrees: rotation in ± this, counter-clockwise.
        translate: the middle of the image comes to rest within ± this share of the result's width
            and height from the middle of the result.
        scale: factor in 1 ± this.
        shear: angle in ± this many degrees, along each axis.
        perspective: coefficient in ± this along each axis, a pixel; Scaled-YOLOv4 searches it up
            to 0.001.

    Source: the random affine of Scaled-YOLOv4's training, whose defaults these are (CSP, from
    scratch).
    """

    degrees: float = 0.0
    translate: float = 0.1
    scale: float = 0.9
    shear: float = 0.0
    perspective: float = 0.0

    def __post_init__(self) -> None:
        check_affine_ranges(self)

    def draw(
        self, canvas: tuple[int, int], image_size: tuple[int, int], rng: np.random.Generator
    ) -> tuple[Matrix, float]:
        """Sample a matrix from a canvas onto a result, and its scale factor.

        The order is: middle of the canvas to the origin, perspective, rotation and scale, shear,
        and on to the result.

        Args:
            canvas: (height, width) of what is moved.
            image_size: (height, width) of the result.
            rng: what the eight numbers are drawn from.
        """
        tilt = np.eye(3)
        tilt[2, :2] = rng.uniform(-1, 1, 2) * self.perspective
        angle = np.deg2rad(rng.uniform(-1, 1) * self.degrees)
        scale = 1 + rng.uniform(-1, 1) * self.scale
        turn = np.eye(3)
        turn[:2, :2] = scale * np.array(
            [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
        )
        shear = np.eye(3)
        shear[0, 1], shear[1, 0] = np.tan(np.deg2rad(rng.uniform(-1, 1, 2) * self.shear))
        share_x, share_y = 0.5 + rng.uniform(-1, 1, 2) * self.translate
        centre = translation(-canvas[1] / 2, -canvas[0] / 2)
        place = translation(share_x * image_size[1], share_y * image_size[0])
        return place @ shear @ turn @ tilt @ centre, scale


_LARGEST = {"degrees": 180, "translate": 1, "scale": 0.99, "shear": 80, "perspective": 0.01}


def check_affine_ranges(owner: object) -> None:
    """Check the five ranges, in any owner of such fields.

    Raises:
        InvalidValue: one is not; it is named as the owner's.
    """
    for field, largest in _LARGEST.items():
        check_number(f"{type(owner).__name__}.{field}", getattr(owner, field), 0, largest)


@dataclass(frozen=True)
class Affine:
    """Random affine: letterbox to `image_size`, rotate, scale, shear, translate, in one warp.

    A box becomes the upright box around its four moved corners, cut off at the edge. It stays if
    both of its sides are longer than `min_side`, more than `min_area` of it is left, and neither
    side is `max_aspect` times the other.

    Args:
        image_size: (height, width) of the result; None is that of the image itself.
        degrees: as the rest up to `perspective`, see `AffineRanges`.
        translate: ± share of the result.
        scale: factor in 1 ± this.
        shear: ± degrees.
        perspective: ± a pixel.
        pad_value: colour outside of the image.
        min_side: in pixels of the result.
        min_area: share of the box's area, scaled, that must be left.
        max_aspect: longer side over shorter.

    Source: the random affine of Scaled-YOLOv4's training and its rule for boxes.
    """

    image_size: tuple[int, int] | None = None
    degrees: float = 0.0
    translate: float = 0.1
    scale: float = 0.9
    shear: float = 0.0
    perspective: float = 0.0
    pad_value: Colour = 114
    min_side: float = 2.0
    min_area: float = 0.2
    max_aspect: float = 20.0

    def __post_init__(self) -> None:
        if self.image_size is not None:
            check_image_size("Affine.image_size", self.image_size)
        check_colour("Affine.pad_value", self.pad_value)
        check_number("Affine.min_side", self.min_side, 0, 1000)
        check_shares(self, "min_area")
        check_number("Affine.max_aspect", self.max_aspect, 1, 1e6)
        check_affine_ranges(self)

    def ranges(self) -> AffineRanges:
        """The ranges of its random affine."""
        return AffineRanges(self.degrees, self.translate, self.scale, self.shear, self.perspective)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        height, width = sample.image.shape[:2]
        size = (height, width) if self.image_size is None else self.image_size
        moved, scale = self.ranges().draw(size, size, rng)
        fit = fit_matrix((height, width), size)
        matrix = moved @ fit
        boxes = move_boxes(sample.boxes, matrix)
        clipped = clip_boxes(boxes, size)
        areas = sides(move_boxes(sample.boxes, fit)).prod(axis=1) * scale**2
        kept = boxes_to_keep(
            clipped,
            areas,
            min_side=self.min_side,
            min_area=self.min_area,
            max_aspect=self.max_aspect,
        )
        image = warp(sample.image, matrix, size, fill=self.pad_value)
        return with_boxes(sample, image, clipped, kept)


def fit_matrix(original: tuple[int, int], image_size: tuple[int, int]) -> Matrix:
    """Fit an image into a size, aspect ratio kept and centred; sizes are (height, width)."""
    ratio = min(image_size[0] / original[0], image_size[1] / original[1])
    left = (image_size[1] - original[1] * ratio) / 2
    top = (image_size[0] - original[0] * ratio) / 2
    return translation(left, top) @ scaling(ratio, ratio)


def boxes_to_keep(
    boxes: FloatArray,
    areas: NDArray[np.floating],
    *,
    min_side: float,
    min_area: float,
    max_aspect: float,
) -> Flags:
    """Filter boxes after a transform by side, remaining area and aspect ratio.

    Args:
        boxes: (M, 4) xyxy, moved and cut off; a NaN is not kept.
        areas: (M,) before the cut, in square pixels of the result.
        min_side: both sides must be longer, in pixels.
        min_area: a larger share of `areas` must be left.
        max_aspect: the longer side over the shorter must be less.

    Returns:
        (M,).
    """
    lengths = sides(boxes).astype(np.float64)
    shorter, longer = lengths.min(axis=1), lengths.max(axis=1)
    left = lengths.prod(axis=1) > min_area * areas
    return np.asarray((shorter > min_side) & left & (longer < max_aspect * shorter))
