"""Random crops: darknet's jitter crop and mosaic of four, EfficientDet's scale jitter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..structures import Image, Sample
from .colour import DarknetColour
from .create import (
    Colour,
    check_colour,
    check_count,
    check_image_size,
    check_number,
    check_range,
    check_shares,
)
from .geometry import (
    Matrix,
    clip_boxes,
    joined,
    large_enough,
    mean_colour,
    mirror,
    move_boxes,
    plain_image,
    scaling,
    translation,
    warp,
    with_boxes,
)

Rectangle = tuple[int, int, int, int]  # left, top, right, bottom, in whole pixels


@dataclass(frozen=True)
class Window:
    """A rectangle of an image, in its pixels; parts of it may lie outside."""

    left: float
    top: float
    right: float
    bottom: float

    def onto(self, image_size: tuple[int, int]) -> Matrix:
        """The matrix that stretches it over (height, width)."""
        height, width = image_size
        across, down = width / (self.right - self.left), height / (self.bottom - self.top)
        return scaling(across, down) @ translation(-self.left, -self.top)

    def inside(self, original: tuple[int, int]) -> bool:
        """Whether all of it lies in an image of (height, width)."""
        height, width = original
        return self.left >= 0 and self.top >= 0 and self.right <= width and self.bottom <= height


@dataclass(frozen=True)
class DarknetCrop:
    """Darknet's jitter crop: move each edge in or out, zoom, resize to `image_size`.

    A box stays if a pixel of it, each way, is left.

    Args:
        image_size: (height, width) of the result.
        jitter: each edge moves by ± this share of the image's width or height.
        resize: common zoom: above 1, from this much closer to this much farther away; below 1,
            only away; 1 is none.
        letterbox: widen the window to the aspect ratio of `image_size`, so that nothing is
            stretched but by the jitter.
        pad_value: colour where the window reaches out of the image; None is the mean colour of it.

    Source: darknet's `load_data_detection`: `jitter`, `resize`, `letter_box`.
    """

    image_size: tuple[int, int] = (608, 608)
    jitter: float = 0.3
    resize: float = 1.0
    letterbox: bool = False
    pad_value: Colour | None = None

    def __post_init__(self) -> None:
        check_image_size("DarknetCrop.image_size", self.image_size)
        check_number("DarknetCrop.jitter", self.jitter, 0, 0.99)
        check_number("DarknetCrop.resize", self.resize, 0.05, 20)
        if self.pad_value is not None:
            check_colour("DarknetCrop.pad_value", self.pad_value)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        height, width = sample.image.shape[:2]
        window = draw_window(
            (height, width),
            self.image_size,
            rng,
            jitter=self.jitter,
            resize=self.resize,
            letterbox=self.letterbox,
        )
        matrix = window.onto(self.image_size)
        boxes = clip_boxes(move_boxes(sample.boxes, matrix), self.image_size)
        fill = padding(sample.image, window, self.pad_value)
        image = warp(sample.image, matrix, self.image_size, fill=fill)
        return with_boxes(sample, image, boxes, large_enough(boxes, 1))


def draw_window(
    original: tuple[int, int],
    image_size: tuple[int, int],
    rng: np.random.Generator,
    *,
    jitter: float,
    resize: float,
    letterbox: bool,
    corner: int | None = None,
) -> Window:
    """Sample darknet's crop window. A window that misses the image is all of it.

    Args:
        original: (height, width) of the image.
        image_size: (height, width) that it will be stretched onto.
        rng: what six numbers are drawn from.
        jitter: as for `DarknetCrop`.
        resize: as for `DarknetCrop`.
        letterbox: as for `DarknetCrop`.
        corner: push it to this corner of the result, 0 to 3: top left, top right, bottom left,
            bottom right, without changing its size. None leaves it.

    Source: darknet's `load_data_detection`.
    """
    height, width = original
    left, top, right, bottom = rng.uniform(-jitter, jitter, 4) * (width, height, width, height)
    low, high = _zoom_range(resize)
    first, second = rng.uniform(low, high, 2)  # one for left and top, one for right and bottom
    left, right = left + first * width, right + second * width
    top, bottom = top + first * height, bottom + second * height
    if letterbox:
        wanted = image_size[1] / image_size[0]
        extra_width, extra_height = max(0, height * wanted - width), max(0, width / wanted - height)
        left, right = left - extra_width / 2, right - extra_width / 2
        top, bottom = top - extra_height / 2, bottom - extra_height / 2
    if corner is not None:
        left, right = (0, left + right) if corner in (0, 2) else (left + right, 0)
        top, bottom = (0, top + bottom) if corner in (0, 1) else (top + bottom, 0)
    window = Window(float(left), float(top), float(width - right), float(height - bottom))
    seen_x = min(window.right, width) - max(window.left, 0)
    seen_y = min(window.bottom, height) - max(window.top, 0)
    if min(seen_x, seen_y) < 1:
        return Window(0, 0, width, height)
    return window


def _zoom_range(resize: float) -> tuple[float, float]:
    """Range of the common zoom as shares of a side; below 0 is outwards."""
    away = resize if resize > 1 else 1 / resize
    return (1 - away) / 2, (1 - 1 / resize) / 2 if resize > 1 else 0.0


def padding(image: Image, window: Window, fill: Colour | None) -> Colour | None:
    """Padding colour where a window reaches out of the image; None where it does not."""
    height, width = image.shape[:2]
    if window.inside((height, width)):
        return None
    return mean_colour(image) if fill is None else fill


@dataclass(frozen=True)
class ScaleJitter:
    """Large-scale jitter: random resize, aspect ratio kept, then crop or pad to `image_size`.

    A box stays if a pixel of it, each way, is left.

    Args:
        image_size: (height, width) of the result.
        scale: the image is fitted into this share of the result; uniform from the first to the
            second. What is too large is cut at a random place, what is too small is padded right
            and below.
        pad_value: colour of the padding; the mean colour of ImageNet, which EfficientDet's
            normalisation makes zero.

    Source: EfficientDet's scale jitter, https://arxiv.org/abs/1911.09070, 0.1 to 2.0.
    """

    image_size: tuple[int, int] = (512, 512)
    scale: tuple[float, float] = (0.1, 2.0)
    pad_value: Colour = (124, 116, 104)

    def __post_init__(self) -> None:
        check_image_size("ScaleJitter.image_size", self.image_size)
        check_range("ScaleJitter.scale", self.scale, 0.01, 10)
        check_colour("ScaleJitter.pad_value", self.pad_value)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        height, width = sample.image.shape[:2]
        out_height, out_width = self.image_size
        share = rng.uniform(*self.scale)
        ratio = share * min(out_height / height, out_width / width)
        tall, wide = max(1, int(height * ratio)), max(1, int(width * ratio))
        room = np.maximum((tall - out_height, wide - out_width), 0)
        top, left = (rng.random(2) * room).astype(int).tolist()
        matrix = translation(-left, -top) @ scaling(wide / width, tall / height)
        boxes = clip_boxes(move_boxes(sample.boxes, matrix), self.image_size)
        seen = (min(tall, out_height), min(wide, out_width))
        image = plain_image(self.image_size, self.pad_value)
        image[: seen[0], : seen[1]] = warp(sample.image, matrix, seen)
        return with_boxes(sample, image, boxes, large_enough(boxes, 1))


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
