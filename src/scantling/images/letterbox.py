"""An image onto the network's input, and the `Placement` that takes boxes back exactly."""

from typing import Literal, get_args

import cv2
import numpy as np

from ..errors import InvalidValue
from ..structures import Image, Placement, as_size

ResizeMode = Literal["letterbox", "corner", "stretch"]
RESIZE_MODES = get_args(ResizeMode)


def resize_and_pad(
    image: Image,
    image_size: int | tuple[int, int],
    *,
    resize_mode: ResizeMode = "letterbox",
    pad_value: int | tuple[int, int, int] = 128,
    out: Image | None = None,
) -> tuple[Image, Placement]:
    """Resize an image onto the network's input, and remember how.

    Args:
        image: (H, W, 3) uint8.
        image_size: (height, width) of the input, or the side of a square.
        resize_mode: `letterbox` keeps the aspect ratio, centres, and pads with `pad_value`;
            `corner` does so without centring: the padding is right and below; `stretch` does not
            keep the ratio.
        pad_value: value of the padding, 0 to 255; one, or red, green and blue.
        out: (height, width, 3) uint8 to write into, so that a loop allocates nothing.

    Returns:
        The resized image, which is `out` where it was given, and its `Placement`.

    Raises:
        InvalidValue: an image without pixels, an unknown `resize_mode`, a `pad_value` out of range,
            or an `out` of another shape or type.

    Source: darknet's test-time resize, bilinear with half-pixel centres as OpenCV's.
    """
    image_size = as_size(image_size)
    _check(image, image_size, resize_mode)
    original = (image.shape[0], image.shape[1])
    height, width = new_size(original, image_size, resize_mode=resize_mode)
    placement = find_placement(original, image_size, resize_mode=resize_mode)
    left, top = int(placement.left), int(placement.top)
    inside = (left, top, left + width, top + height)
    return paste_resized(image, image_size, inside, pad_value=pad_value, out=out), placement


def paste_resized(
    image: Image,
    image_size: tuple[int, int],
    inside: tuple[int, int, int, int],
    *,
    pad_value: int | tuple[int, int, int] = 128,
    out: Image | None = None,
) -> Image:
    """Resize an image into a rectangle of a canvas, and fill the rest of the canvas.

    Args:
        image: (H, W, 3) uint8.
        image_size: (height, width) of the canvas.
        inside: left, top, right and bottom of the rectangle.
        pad_value: as for `resize_and_pad`.
        out: as for `resize_and_pad`.

    Returns:
        The canvas, which is `out` where it was given.

    Raises:
        InvalidValue: a `pad_value` out of range, or an `out` of another shape or type.
    """
    height, width = image_size
    if np.shape(pad_value) not in ((), (3,)) or np.min(pad_value) < 0 or np.max(pad_value) > 255:
        raise InvalidValue("pad_value", pad_value, "a number from 0 to 255, or three of them")
    if out is None:
        out = np.empty((height, width, 3), np.uint8)
    elif out.shape != (height, width, 3) or out.dtype != np.uint8 or not out.flags.c_contiguous:
        raise InvalidValue(
            "out",
            f"{out.dtype} {out.shape}",
            f"a contiguous array of uint8 of shape ({height}, {width}, 3)",
        )
    left, top, right, bottom = inside
    out[:top] = pad_value
    out[bottom:] = pad_value
    out[top:bottom, :left] = pad_value
    out[top:bottom, right:] = pad_value
    _resize_into(image, out[top:bottom, left:right])
    return out


def new_size(
    original: tuple[int, int], image_size: tuple[int, int], *, resize_mode: ResizeMode
) -> tuple[int, int]:
    """(height, width) that an image is resized to, rounded down as darknet does, at least 1.

    Args:
        original: (height, width) of the image.
        image_size: (height, width) of the input.
        resize_mode: as for `resize_and_pad`.
    """
    (old_height, old_width), (height, width) = original, image_size
    if resize_mode == "stretch":
        return height, width
    if width * old_height < height * old_width:
        return max(1, old_height * width // old_width), width
    return height, max(1, old_width * height // old_height)


def find_placement(
    original: tuple[int, int], image_size: tuple[int, int], *, resize_mode: ResizeMode = "letterbox"
) -> Placement:
    """How `resize_and_pad` puts an image of this size onto the input. Sizes are (height, width)."""
    new_height, new_width = new_size(original, image_size, resize_mode=resize_mode)
    centred = resize_mode == "letterbox"
    return Placement(
        scale_x=new_width / original[1],  # apart from scale_y by the rounding to whole pixels
        scale_y=new_height / original[0],
        left=(image_size[1] - new_width) // 2 if centred else 0,
        top=(image_size[0] - new_height) // 2 if centred else 0,
        image_size=original,
    )


def _check(image: Image, image_size: tuple[int, int], resize_mode: str) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise InvalidValue("image", f"{image.dtype} {image.shape}", "uint8 (H, W, 3) with pixels")
    if min(image_size) < 1:
        raise InvalidValue("image_size", image_size, "(height, width), each at least 1")
    if resize_mode not in RESIZE_MODES:
        raise InvalidValue("resize_mode", resize_mode, "one of " + ", ".join(RESIZE_MODES))


def _resize_into(image: Image, region: Image) -> None:
    resized = cv2.resize(
        image, (region.shape[1], region.shape[0]), dst=region, interpolation=cv2.INTER_LINEAR
    )
    if resized is not region:  # OpenCV could not write through the view
        region[...] = resized
