"""Which views of an image the network is shown: one, several sizes and a mirror image, or tiles.

Showing an image several times (test-time augmentation) as in Scaled-YOLOv4,
https://arxiv.org/abs/2011.08036. A view is a region of the image on a canvas, and the `Placement`
that takes its boxes back to the image exactly.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ..errors import InvalidValue
from ..structures import Image, Placement
from .letterbox import Fit, new_size, put

Size = tuple[int, int]  # (height, width)
Region = tuple[int, int, int, int]  # left, top, right, bottom in whole pixels


@dataclass(frozen=True)
class Look:
    """One way to look at an image.

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
class Plan:
    """Which views of each image the network is shown; their boxes are merged.

    `Plan()` is one view of the whole image. `TTA` is that of the Scaled-YOLOv4 paper. A plan with a
    `tile` cuts the image into overlapping tiles, so that small objects are seen larger. Both
    together look at every tile in every way.

    Args:
        looks: ways to look at the image, or at each tile.
        tile: (height, width) in pixels of the image; None for no tiles.
        overlap: how much neighbouring tiles share at least, as a share of their side.
        whole: show the whole image beside its tiles. A box that ends where a tile was cut is then
            left out: it is part of an object that is seen whole elsewhere.

    Raises:
        InvalidValue: no look, a tile without pixels, an overlap that is not from 0 to 0.9.
    """

    looks: tuple[Look, ...] = (Look(),)
    tile: Size | None = None
    overlap: float = 0.2
    whole: bool = True

    def __post_init__(self) -> None:
        if not self.looks:
            raise InvalidValue("looks", self.looks, "one or more, such as (Look(),)")
        if self.tile is not None and min(self.tile) < MIN_TILE:
            expected = f"(height, width), each {MIN_TILE} pixels or more"
            raise InvalidValue("tile", self.tile, expected)
        if not 0 <= self.overlap <= MAX_OVERLAP:
            raise InvalidValue("overlap", self.overlap, f"a share from 0 to {MAX_OVERLAP}")


MIN_TILE = 16  # a few pixels show nothing, and a large image would have millions of them
MAX_OVERLAP = 0.9
UNCUT = (False, False, False, False)
TTA = Plan(looks=(Look(), Look(0.83, flip=True), Look(0.67)))


@dataclass(frozen=True)
class Shape:
    """What a network takes: the size that it was made for, and which others it can take.

    Args:
        image_size: (height, width) of its usual input.
        size_divisor: it takes any size whose sides are multiples of this; None: no other size.
        fit: how an image is made to fit, as for `place`.
        whole: it takes images as they are, and fits them by itself: a view is then the image or
            tile and nothing else.
    """

    image_size: Size
    size_divisor: int | None = None
    fit: Fit = "letterbox"
    whole: bool = False


@dataclass(frozen=True)
class View:
    """A region of an image and its place on a canvas."""

    region: Region  # of the image
    canvas: Size  # what the network is given
    inside: Region  # where on the canvas the region lies; the rest is filled
    flip: bool  # the region is mirrored left to right
    cut: tuple[bool, bool, bool, bool]  # edges of the region at which objects seen elsewhere end
    placement: Placement  # takes boxes on the canvas back to the image


def find_views(
    original: Size, plan: Plan, shape: Shape, *, canvas: Size | None = None
) -> tuple[View, ...]:
    """The views of an image of this size, at least one.

    A view of another scale has a canvas of its own, as small as the network takes; a network that
    takes one size only gets it filled up.

    Args:
        original: (height, width) of the image.
        plan: which views.
        shape: what the network takes.
        canvas: what a view at scale 1 lies on, where that is not the network's usual size; see
            `rectangular_canvas`.

    Raises:
        InvalidValue: a scale above 1 for a network that takes one size only.
    """
    return tuple(
        _find_view(original, region, look, shape, canvas or shape.image_size, plan.whole)
        for region in find_regions(original, plan)
        for look in plan.looks
    )


def needed_size(original: Size, plan: Plan, shape: Shape) -> Size:
    """How large an image of this size must be at least for its views to be drawn from it.

    Less than the image only where it is shown as a whole, and smaller.
    """
    if plan.tile is not None or shape.whole:
        return original
    insides = [view.inside for view in find_views(original, plan, shape)]
    height = max(bottom - top for _, top, _, bottom in insides)
    return height, max(right - left for left, _, right, _ in insides)


def find_regions(original: Size, plan: Plan) -> list[Region]:
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
    return [everything, *tiles] if plan.whole else tiles


def rectangular_canvas(originals: Sequence[Size], shape: Shape) -> Size:
    """The smallest canvas on which images of these sizes lie as large as on the usual one.

    Raises:
        InvalidValue: the network takes one size only, or images are stretched to its size.
    """
    if shape.whole:
        why = "False: the network takes images as they are"
        raise InvalidValue("rectangular", True, why)
    if shape.size_divisor is None:
        why = "False: the network takes images of one size only"
        raise InvalidValue("rectangular", True, why)
    if shape.fit == "stretch":
        why = "False: images are stretched to one size; or another `fit`"
        raise InvalidValue("rectangular", True, why)
    sizes = [new_size(original, shape.image_size, fit=shape.fit) for original in originals]
    tallest, widest = (max(sides) for sides in zip(*sizes, strict=True))
    return _round_up(tallest, shape.size_divisor), _round_up(widest, shape.size_divisor)


def draw_view(
    image: Image, view: View, *, fill: int | tuple[int, int, int] = 128, out: Image | None = None
) -> Image:
    """Draw a view of an image.

    Args:
        image: (H, W, 3) uint8, of the size that the view was found for; a reduced copy will do
            where that is as large as `needed_size`.
        view: one of `find_views`.
        fill: value of what the image does not cover.
        out: (height, width, 3) uint8 of the view's canvas, to write into.

    Returns:
        The canvas, which is `out` where that was given.

    Raises:
        InvalidValue: as for `place`.
    """
    left, top, right, bottom = view.region
    part = image[top:bottom, left:right]
    if view.flip:  # before it is resized: a mirrored image then gives the very same canvas
        part = np.asarray(cv2.flip(part, 1), np.uint8)
    return put(part, view.canvas, view.inside, fill=fill, out=out)


def _find_view(
    original: Size, region: Region, look: Look, shape: Shape, canvas: Size, whole: bool
) -> View:
    left, top, right, bottom = region
    part = (bottom - top, right - left)
    within = _scaled(part if shape.whole else shape.image_size, look.scale)
    if shape.whole:
        canvas = within
    elif look.scale != 1:
        canvas = _scaled_canvas(canvas, look.scale, shape)
    height, width = new_size(part, within, fit=shape.fit)
    if height > canvas[0] or width > canvas[1]:  # the image is not what the canvas was made for
        height, width = new_size(part, canvas, fit=shape.fit)
    centred = shape.fit == "letterbox"
    x = (canvas[1] - width) // 2 if centred else 0
    y = (canvas[0] - height) // 2 if centred else 0
    scale_x, scale_y = width / part[1], height / part[0]
    placement = Placement(
        scale_x=-scale_x if look.flip else scale_x,
        scale_y=scale_y,
        left=x + right * scale_x if look.flip else x - left * scale_x,
        top=y - top * scale_y,
        image_size=original,
    )
    return View(
        region=region,
        canvas=canvas,
        inside=(x, y, x + width, y + height),
        flip=look.flip,
        cut=(left > 0, top > 0, right < original[1], bottom < original[0]) if whole else UNCUT,
        placement=placement,
    )


def _scaled(size: Size, scale: float) -> Size:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _scaled_canvas(canvas: Size, scale: float, shape: Shape) -> Size:
    """The canvas of a view of another scale."""
    if shape.size_divisor is not None:
        height, width = _scaled(canvas, scale)
        return _round_up(height, shape.size_divisor), _round_up(width, shape.size_divisor)
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
