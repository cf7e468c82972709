"""Darknet's mosaic: four crops around a cutting point."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..structures import Image, Sample
from .colour import DarknetColour
from .create import Colour, check_colour, check_count, check_image_size, check_number, check_shares
from .crops import draw_window, padding
from .geometry import (
    Matrix,
    clip_boxes,
    joined,
    large_enough,
    mirror,
    move_boxes,
    translation,
    warp,
    with_boxes,
)

Rectangle = tuple[int, int, int, int]  # left, top, right, bottom, in whole pixels


@dataclass(frozen=True)
class DarknetMosaic:
    """Mosaic of four images, each with its own crop, flip and colours, around a random point.

    Each image is cropped as by `DarknetCrop`, onto the whole of `image_size`, and of that its tile
    shows the part next to the cutting point, without the padding there. Half of the images are
    first pushed towards their corner, so that more of them is seen. A box stays if a pixel of it,
    each way, is left in its tile.

    Args:
        image_size: (height, width) of the result.
        min_offset: the cutting point keeps at least this share of the result from each edge.
        jitter: as `resize` and `letterbox`, see `DarknetCrop`.
        resize: common zoom.
        letterbox: keep the aspect ratio.
        flip: chance of each image to be mirrored left to right.
        saturation: as `exposure` and `hue`, see `DarknetColour`.
        exposure: largest factor of the value.
        hue: largest shift, a share of the circle.
        clip_to_tile: cut boxes off at the edge of their tile (darknet's `mosaic_bound`); without,
            at the edge of the result, although another image lies there.
        pad_value: colour of padding; None is the mean colour of the padded image.

    Source: darknet's `load_data_detection` with `mosaic=1`; https://arxiv.org/abs/2004.10934.
    """

    samples_needed: ClassVar[int] = 4

    image_size: tuple[int, int] = (608, 608)
    min_offset: float = 0.2
    jitter: float = 0.3
    resize: float = 1.0
    letterbox: bool = False
    flip: float = 0.5
    saturation: float = 1.5
    exposure: float = 1.5
    hue: float = 0.1
    clip_to_tile: bool = True
    pad_value: Colour | None = None

    def __post_init__(self) -> None:
        check_image_size("DarknetMosaic.image_size", self.image_size)
        check_number("DarknetMosaic.min_offset", self.min_offset, 0, 0.5)
        check_number("DarknetMosaic.jitter", self.jitter, 0, 0.99)
        check_number("DarknetMosaic.resize", self.resize, 0.05, 20)
        check_shares(self, "flip")
        if self.pad_value is not None:
            check_colour("DarknetMosaic.pad_value", self.pad_value)
        self._colour()

    def __call__(self, samples: Sequence[Sample], rng: np.random.Generator) -> Sample:
        check_count(samples, self.samples_needed, "DarknetMosaic")
        height, width = self.image_size
        low = self.min_offset * np.array([width, height])
        cut_x, cut_y = rng.uniform(low, np.array([width, height]) - low).astype(int).tolist()
        canvas = np.empty((height, width, 3), np.uint8)
        parts = []
        for place, (sample, tile) in enumerate(
            zip(samples, _tiles(self.image_size, cut_x, cut_y), strict=True)
        ):
            parts.append(self._put(sample, canvas, tile, place, rng))
        return joined(canvas, parts)

    def _put(
        self, sample: Sample, canvas: Image, tile: Rectangle, place: int, rng: np.random.Generator
    ) -> Sample:
        """Draw one image into its tile; the sample that comes back has the moved boxes."""
        left, top, right, bottom = tile
        if left == right or top == bottom:  # the cut lies on the edge of the result
            return with_boxes(
                sample, sample.image, sample.boxes, large_enough(sample.boxes, np.inf)
            )
        width = self.image_size[1]
        original = (sample.image.shape[0], sample.image.shape[1])
        pushed = rng.random() < 0.5
        window = draw_window(
            original,
            self.image_size,
            rng,
            jitter=self.jitter,
            resize=self.resize,
            letterbox=self.letterbox,
            corner=place if pushed else None,
        )
        matrix = window.onto(self.image_size)
        if rng.random() < self.flip:
            matrix = mirror(width) @ matrix
        shift_x, shift_y = _shift(matrix, original, self.image_size, tile, place)
        matrix = translation(shift_x, shift_y) @ matrix
        fill = padding(sample.image, window, self.pad_value)
        onto_tile = translation(-left, -top) @ matrix
        seen = warp(sample.image, onto_tile, (bottom - top, right - left), fill=fill)
        canvas[top:bottom, left:right] = self._colour().change(seen, rng)
        moved = move_boxes(sample.boxes, matrix)
        in_tile = clip_boxes(moved, (bottom - top, right - left), left=left, top=top)
        kept = large_enough(in_tile, 1)
        boxes = in_tile if self.clip_to_tile else clip_boxes(moved, self.image_size)
        return with_boxes(sample, sample.image, boxes, kept)

    def _colour(self) -> DarknetColour:
        return DarknetColour(self.saturation, self.exposure, self.hue)


def _tiles(image_size: tuple[int, int], cut_x: int, cut_y: int) -> list[Rectangle]:
    """Top left, top right, bottom left, bottom right of the cutting point."""
    height, width = image_size
    return [
        (0, 0, cut_x, cut_y),
        (cut_x, 0, width, cut_y),
        (0, cut_y, cut_x, height),
        (cut_x, cut_y, width, height),
    ]


def _shift(
    matrix: Matrix,
    original: tuple[int, int],
    image_size: tuple[int, int],
    tile: Rectangle,
    place: int,
) -> tuple[float, float]:
    """Shift of a cropped image so that its own edge, or the crop's, meets the cut.

    Padding next to the cut is moved past it, but the crop still covers the whole tile.
    """
    height, width = image_size
    corners = np.array([[0, 0, original[1], original[0]]], np.float32)
    left, top, right, bottom = move_boxes(corners, matrix)[0].tolist()
    across, down = tile[2] - tile[0], tile[3] - tile[1]
    if place in (0, 2):  # the right end of the crop lies on the cut
        shift_x = across - width + min(width - across, max(0.0, width - right))
    else:
        shift_x = width - across - min(width - across, max(0.0, left))
    if place in (0, 1):
        shift_y = down - height + min(height - down, max(0.0, height - bottom))
    else:
        shift_y = height - down - min(height - down, max(0.0, top))
    return shift_x, shift_y
