"""Scaled-YOLOv4's mosaic: four whole images on a canvas, with random affine in one warp."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..structures import Image, Sample
from .affine import Affine, boxes_to_keep, check_affine_ranges
from .create import Colour, check_count, check_image_size, check_range, create_from
from .crops import Window
from .geometry import (
    Matrix,
    clip_boxes,
    joined,
    move_boxes,
    plain_image,
    scaling,
    sides,
    translation,
    warp,
    with_boxes,
)


@dataclass(frozen=True)
class ScaledMosaic:
    """Mosaic of four whole images on a canvas of twice the size, with random affine and crop.

    Each image is resized to fit `image_size` and touches the centre of the mosaic with a corner;
    what reaches over the canvas is cut. The canvas is then moved about and the middle of it, of
    `image_size`, is the result. Boxes stay by the rule of `Affine`.

    Args:
        image_size: (height, width) of the result.
        centre: where the centre lies along each axis, as a share of the canvas; uniform from the
            first to the second. Scaled-YOLOv4's large models fix it: (0.5, 0.5).
        degrees: as the rest up to `perspective`, see `AffineRanges`.
        translate: ± share of the result.
        scale: factor in 1 ± this.
        shear: ± degrees.
        perspective: ± a pixel.
        pad_value: colour where no image lies.
        min_side: as `min_area` and `max_aspect`, see `Affine`.
        min_area: share of a box's area, scaled, that must be left.
        max_aspect: longer side over shorter.

    Source: Scaled-YOLOv4's mosaic and random affine, https://arxiv.org/abs/2011.08036.
    """

    samples_needed: ClassVar[int] = 4

    image_size: tuple[int, int] = (640, 640)
    centre: tuple[float, float] = (0.25, 0.75)
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
        check_image_size("ScaledMosaic.image_size", self.image_size)
        check_range("ScaledMosaic.centre", self.centre, 0, 1)
        check_affine_ranges(self)
        self._affine()

    def __call__(self, samples: Sequence[Sample], rng: np.random.Generator) -> Sample:
        check_count(samples, self.samples_needed, "ScaledMosaic")
        canvas_size = (2 * self.image_size[0], 2 * self.image_size[1])
        share_x, share_y = rng.uniform(*self.centre, size=2)
        cut = (int(share_x * canvas_size[1]), int(share_y * canvas_size[0]))
        matrix, scale = self._affine().ranges().draw(canvas_size, self.image_size, rng)
        placed = [
            _beside(sample, self.image_size, canvas_size, cut, place)
            for place, sample in enumerate(samples)
        ]
        image = _draw(samples, placed, canvas_size, matrix, self.image_size, self.pad_value)
        parts = [
            self._boxes(sample, onto, canvas_size, matrix, scale)
            for sample, (onto, _) in zip(samples, placed, strict=True)
        ]
        return joined(image, parts)

    def _boxes(
        self,
        sample: Sample,
        onto: Matrix,
        canvas_size: tuple[int, int],
        matrix: Matrix,
        scale: float,
    ) -> Sample:
        """The objects of one image, in the coordinates of the result."""
        on_canvas = clip_boxes(move_boxes(sample.boxes, onto), canvas_size)
        boxes = clip_boxes(move_boxes(on_canvas, matrix), self.image_size)
        areas = sides(on_canvas).astype(np.float64).prod(axis=1) * scale**2
        kept = boxes_to_keep(
            boxes, areas, min_side=self.min_side, min_area=self.min_area, max_aspect=self.max_aspect
        )
        return with_boxes(sample, sample.image, boxes, kept)

    def _affine(self) -> Affine:
        return create_from(self, Affine)


def _beside(
    sample: Sample,
    image_size: tuple[int, int],
    canvas_size: tuple[int, int],
    cut: tuple[int, int],
    place: int,
) -> tuple[Matrix, Window]:
    """Matrix that puts an image on the canvas with a corner at the cut, and the area it covers."""
    height, width = sample.image.shape[:2]
    ratio = min(image_size[0] / height, image_size[1] / width)
    tall, wide = max(1, round(height * ratio)), max(1, round(width * ratio))
    left = cut[0] - wide if place in (0, 2) else cut[0]
    top = cut[1] - tall if place in (0, 1) else cut[1]
    onto = translation(left, top) @ scaling(wide / width, tall / height)
    covered = Window(
        max(left, 0), max(top, 0), min(left + wide, canvas_size[1]), min(top + tall, canvas_size[0])
    )
    return onto, covered


def _draw(
    samples: Sequence[Sample],
    placed: Sequence[tuple[Matrix, Window]],
    canvas_size: tuple[int, int],
    matrix: Matrix,
    image_size: tuple[int, int],
    pad_value: Colour,
) -> Image:
    """The moved canvas. Where nothing is turned or tilted, it is never made: each image is warped
    straight to where it lands, which takes a quarter of the memory traffic."""
    upright = matrix[0, 1] == 0 and matrix[1, 0] == 0 and not matrix[2, :2].any()
    out_size = image_size if upright else canvas_size
    out = plain_image(out_size, pad_value)
    for sample, (onto, covered) in zip(samples, placed, strict=True):
        corners = np.array([[covered.left, covered.top, covered.right, covered.bottom]], np.float32)
        landed = move_boxes(corners, matrix) if upright else corners
        left, top, right, bottom = _whole(landed, out_size)
        if left < right and top < bottom:
            whole = translation(-left, -top) @ (matrix @ onto if upright else onto)
            out[top:bottom, left:right] = warp(sample.image, whole, (bottom - top, right - left))
    return out if upright else warp(out, matrix, image_size, fill=pad_value)


def _whole(box: NDArray[np.floating], image_size: tuple[int, int]) -> tuple[int, int, int, int]:
    """A box of (1, 4) rounded to whole pixels and cut off at (height, width)."""
    left, top, right, bottom = np.rint(clip_boxes(box, image_size)[0]).astype(int).tolist()
    return left, top, right, bottom
