"""Which views of an image the network is shown: one, several sizes and a mirror image, or tiles.

Showing an image several times (test-time augmentation) as in Scaled-YOLOv4,
https://arxiv.org/abs/2011.08036. A crop is a region of the image on a canvas, and the `Placement`
that takes its boxes back to the image exactly.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from ..errors import InvalidValue
from ..structures import Image, Placement
from .letterbox import ResizeMode, new_size, paste_resized
from .read import Frame

Size = tuple[int, int]  # (height, width)
Region = tuple[int, int, int, int]  # left, top, right, bottom in whole pixels


@dataclass(frozen=True)
class TTAView:
    """One view of an image in test-time augmentation (TTA).

    Args:
        scale: of the network's usual input; 0.5 shows everything half as large.
        flip: mirror left to right.

    Raises:
        InvalidValue: a scale that is not above 0, or above 4.
    """

    scale: float = 1.0
    flip: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.scale <= 4:
            raise InvalidValue("scale", self.scale, "a number above 0, at most 4")


@dataclass(frozen=True, kw_only=True)
class InferencePlan:
    """Which views of each image the network is shown; their boxes are merged.

    `InferencePlan()` is one view of the whole image. `TTA` is that of the Scaled-YOLOv4 paper. A
    plan with a `tile` cuts the image into overlapping tiles, so that small objects are seen larger.
    Both together look at every tile in every way.

    Args:
        views: ways to look at the image, or at each tile.
        tile: (height, width) in pixels of the image; None for no tiles.
        overlap: how much neighbouring tiles share at least, as a share of their side.
        whole_image: show the whole image beside its tiles. A box that ends where a tile was cut is
            then left out: it is part of an object that is seen whole elsewhere.

    Raises:
        InvalidValue: no view, a tile without pixels, an overlap that is not from 0 to 0.9.
    """

    views: tuple[TTAView, ...] = (TTAView(),)
    tile: Size | None = None
    overlap: float = 0.2
    whole_image: bool = True

    def __post_init__(self) -> None:
        if not self.views:
            raise InvalidValue("views", self.views, "one or more, such as (TTAView(),)")
        if self.tile is not None and min(self.tile) < MIN_TILE:
            expected = f"(height, width), each {MIN_TILE} pixels or more"
            raise InvalidValue("tile", self.tile, expected)
        if not 0 <= self.overlap <= MAX_OVERLAP:
            raise InvalidValue("overlap", self.overlap, f"a share from 0 to {MAX_OVERLAP}")


MIN_TILE = 16  # a few pixels show nothing, and a large image would have millions of them
MAX_OVERLAP = 0.9
UNCUT = (False, False, False, False)
TTA = InferencePlan(views=(TTAView(), TTAView(0.83, flip=True), TTAView(0.67)))


@dataclass(frozen=True)
class NetworkInput:
    """What a network takes: the size that it was made for, and which others it can take.

    Args:
        image_size: (height, width) of its usual input.
        size_divisor: it takes any size whose sides are multiples of this; None: no other size.
        resize_mode: how an image is made to fit, as for `resize_and_pad`.
        whole_images: it takes images as they are, and resizes them by itself: a crop is then the
            image or tile and nothing else.
    """

    image_size: Size
    size_divisor: int | None = None
    resize_mode: ResizeMode = "letterbox"
    whole_images: bool = False


@dataclass(frozen=True)
class Crop:
    """A region of an image and its place on a canvas."""

    region: Region  # of the image
    canvas: Size  # what the network is given
    inside: Region  # where on the canvas the region lies; the rest is filled
    flip: bool  # the region is mirrored left to right
    cut: tuple[bool, bool, bool, bool]  # edges of the region at which objects seen elsewhere end
    placement: Placement  # takes boxes on the canvas back to the image


def make_crops(
    original: Size, plan: InferencePlan, network_input: NetworkInput, *, canvas: Size | None = None
) -> tuple[Crop, ...]:
    """The crops of an image of this size, at least one.

    A crop of another scale has a canvas of its own, as small as the network takes; a network that
    takes one size only gets it filled up.

    Args:
        original: (height, width) of the image.
        plan: which views.
        network_input: what the network takes.
        canvas: what a crop at scale 1 lies on, where that is not the network's usual size; see
            `rectangular_canvas`.

    Raises:
        InvalidValue: a scale above 1 for a network that takes one size only.
    """
    return tuple(
        _make_crop(
            original,
            region,
            view,
            network_input,
            canvas or network_input.image_size,
            plan.whole_image,
        )
        for region in find_regions(original, plan)
        for view in plan.views
    )


def min_size(original: Size, plan: InferencePlan, network_input: NetworkInput) -> Size:
    """How large an image of this size must be at least for its crops to be drawn from it.

    Less than the image only where it is shown as a whole, and smaller.
    """
    if plan.tile is not None or network_input.whole_images:
        return original
    insides = [crop.inside for crop in make_crops(original, plan, network_input)]
    height = max(bottom - top for _, top, _, bottom in insides)
    return height, max(right - left for left, _, right, _ in insides)


def find_regions(original: Size, plan: InferencePlan) -> list[Region]:
    """The parts of an image that a plan shows; the whole one first.

    Tiles are spread evenly, and none reaches beyond the image. An image that fits into one tile is
    shown once.
    """
    height, width = original
    everything = (0, 0, width, height)
    if plan.tile is None or (height <= plan.tile[0] and width <= plan.tile[1]):
        return [everything]
    rows = _spread(height, plan.tile[0], plan.overlap)
    columns = _spread(width, plan.tile[1], plan.overlap)
    tiles = [(left, top, right, bottom) for top, bottom in rows for left, right in columns]
    return [everything, *tiles] if plan.whole_image else tiles


def rectangular_canvas(originals: Sequence[Size], network_input: NetworkInput) -> Size:
    """The smallest canvas on which images of these sizes lie as large as on the usual one.

    Raises:
        InvalidValue: the network takes one size only, or images are stretched to its size.
    """
    if network_input.whole_images:
        why = "False: the network takes images as they are"
        raise InvalidValue("rectangular", True, why)
    if network_input.size_divisor is None:
        why = "False: the network takes images of one size only"
        raise InvalidValue("rectangular", True, why)
    if network_input.resize_mode == "stretch":
        why = "False: images are stretched to one size; or another `resize_mode`"
        raise InvalidValue("rectangular", True, why)
    sizes = [
        new_size(original, network_input.image_size, resize_mode=network_input.resize_mode)
        for original in originals
    ]
    tallest, widest = (max(sides) for sides in zip(*sizes, strict=True))
    return _round_up(tallest, network_input.size_divisor), _round_up(
        widest, network_input.size_divisor
    )


def preprocess(
    image: Image,
    crop: Crop,
    *,
    pad_value: int | tuple[int, int, int] = 128,
    out: Image | None = None,
) -> Image:
    """Resize and pad a crop of an image.

    Args:
        image: (H, W, 3) uint8, of the size that the crop was found for; a reduced copy will do
            where that is as large as `min_size`.
        crop: one of `make_crops`.
        pad_value: value of what the image does not cover.
        out: (height, width, 3) uint8 of the crop's canvas, to write into.

    Returns:
        The canvas, which is `out` where that was given.

    Raises:
        InvalidValue: as for `resize_and_pad`.
    """
    left, top, right, bottom = crop.region
    part = image[top:bottom, left:right]
    if crop.flip:  # before it is resized: a mirrored image then gives the very same canvas
        part = np.asarray(cv2.flip(part, 1), np.uint8)
    return paste_resized(part, crop.canvas, crop.inside, pad_value=pad_value, out=out)


@dataclass(frozen=True, eq=False)
class PreparedImage:
    """An image and its crops, on their way into batches."""

    frame: Frame
    crops: tuple[Crop, ...] = ()  # none where the image could not be read
    image: Image | None = None  # to make the crops from, or a reduced copy
    canvases: tuple[Image, ...] = ()  # the crops, where they are made already
    read: float = 0.0  # seconds
    preprocess: float = 0.0

    def put(self, number: int, out: Image, *, pad_value: int | tuple[int, int, int]) -> None:
        """Put a crop onto a slot of a batch."""
        if self.image is None:
            out[...] = self.canvases[number]
        else:
            preprocess(self.image, self.crops[number], pad_value=pad_value, out=out)

    def without_pixels(self) -> "PreparedImage":
        """The same once its crops lie on batches."""
        return replace(self, image=None, canvases=())


def _make_crop(
    original: Size,
    region: Region,
    view: TTAView,
    network_input: NetworkInput,
    canvas: Size,
    whole: bool,
) -> Crop:
    left, top, right, bottom = region
    part = (bottom - top, right - left)
    within = _scaled(part if network_input.whole_images else network_input.image_size, view.scale)
    if network_input.whole_images:
        canvas = within
    elif view.scale != 1:
        canvas = _scaled_canvas(canvas, view.scale, network_input)
    height, width = new_size(part, within, resize_mode=network_input.resize_mode)
    if height > canvas[0] or width > canvas[1]:  # the image is not what the canvas was made for
        height, width = new_size(part, canvas, resize_mode=network_input.resize_mode)
    centred = network_input.resize_mode == "letterbox"
    x = (canvas[1] - width) // 2 if centred else 0
    y = (canvas[0] - height) // 2 if centred else 0
    scale_x, scale_y = width / part[1], height / part[0]
    placement = Placement(
        scale_x=-scale_x if view.flip else scale_x,
        scale_y=scale_y,
        left=x + right * scale_x if view.flip else x - left * scale_x,
        top=y - top * scale_y,
        image_size=original,
    )
    return Crop(
        region=region,
        canvas=canvas,
        inside=(x, y, x + width, y + height),
        flip=view.flip,
        cut=(left > 0, top > 0, right < original[1], bottom < original[0]) if whole else UNCUT,
        placement=placement,
    )


def _scaled(size: Size, scale: float) -> Size:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _scaled_canvas(canvas: Size, scale: float, network_input: NetworkInput) -> Size:
    """The canvas of a crop of another scale."""
    if network_input.size_divisor is not None:
        height, width = _scaled(canvas, scale)
        return _round_up(height, network_input.size_divisor), _round_up(
            width, network_input.size_divisor
        )
    if scale > 1:
        raise InvalidValue("scale", scale, "1 at most, for a network that takes one size only")
    return canvas


def _round_up(side: int, divisor: int) -> int:
    return -(-side // divisor) * divisor


def _spread(side: int, tile: int, overlap: float) -> list[tuple[int, int]]:
    """Where tiles begin and end along one side."""
    if side <= tile:
        return [(0, side)]
    step = max(1, math.floor(tile * (1 - overlap)))
    last = math.ceil((side - tile) / step)
    starts = [number * (side - tile) // last for number in range(last + 1)]
    return [(start, start + tile) for start in starts]
