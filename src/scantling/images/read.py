"""Files, bytes and arrays → (H, W, 3) uint8 RGB, upright, or an error that names the source.

What becomes of the unusual: grey is repeated over the three channels; of 16 bits the upper 8 are
kept; transparency is dropped, the colour beneath it shows; a palette is applied; CMYK and Lab are
converted by the decoder; of an animation, an MPO or a TIFF of several pages the first is taken.
"""

import ctypes
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import InvalidSource, InvalidValue
from ..io import regular_size
from ..structures import Image
from .headers import read_header
from .heic import decode_heic
from .low_bits import DARK, warn_of_low_bits, warn_of_values
from .unended import end_jpeg

# mallopt(3): what is freed at the end of the heap goes back to the system from so many bytes on;
# blocks from so many bytes on are never part of the heap (the most that glibc takes).
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
KEPT = 128 << 20
LARGEST = 32 << 20
CHOSEN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")

MAX_PIXELS = 178_956_970  # 0.5 GiB decoded; the limit at which Pillow refuses too
MAX_BYTES = 2**29
MAX_ARRAY = 2**30  # pixels of an image that is in memory already: 3 GiB

# (height, width) of an image, upright → how large it must be at least once it is decoded
MinSize = Callable[[tuple[int, int]], tuple[int, int]]
# How much larger than needed a reduced copy must be: nearer, small objects suffer.
REDUCE_MARGIN = 2.0
# OpenCV's flags for a JPEG in RGB, by the share of each side that libjpeg decodes faster than the
# whole: the flags called grey are of the share alone, colour is another bit.
WHOLE = cv2.IMREAD_COLOR_RGB
REDUCED = {
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8 | WHOLE,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4 | WHOLE,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2 | WHOLE,
}

# How to turn an image upright, by its EXIF orientation: exchange the axes?, then cv2.flip by what.
TURNS: dict[int, tuple[bool, int | None]] = {
    1: (False, None), 2: (False, 1), 3: (False, -1), 4: (False, 0),
    5: (True, None), 6: (True, 1), 7: (True, -1), 8: (True, 0),
}  # fmt: skip


def read_image(
    path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES
) -> Image:
    """Read an image file: (H, W, 3) uint8 RGB, turned upright as its EXIF says.

    A file that was cut off is an error, never an image with a grey rest: but for a JPEG that lacks
    its end marker alone. Damage in the middle of a JPEG cannot be told from a picture.

    Args:
        path: a regular file; its content decides what it is, not its suffix.
        max_pixels: largest width × height that is decoded, as the file declares it.
        max_bytes: largest file that is read.

    Raises:
        InvalidSource: no such file, not a regular file, not an image, damaged, or too large.
    """
    return decode_image(read_bytes(path, max_bytes=max_bytes), str(path), max_pixels=max_pixels)


def read_reduced(
    path: str | os.PathLike[str],
    min_size: MinSize,
    *,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_BYTES,
) -> tuple[Image, tuple[int, int]]:
    """`read_image`, as `decode_reduced` decodes."""
    data = read_bytes(path, max_bytes=max_bytes)
    return decode_reduced(data, str(path), min_size, max_pixels=max_pixels)


def read_bytes(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> bytes:
    """The content of a regular file, never waiting on a pipe or a device.

    Raises:
        InvalidSource: no such file, no permission, not a regular file, or larger than `max_bytes`.
    """
    name = os.fspath(path)
    size = check_regular(path)
    if size <= max_bytes:
        try:
            with Path(path).open("rb") as file:
                data = file.read(size + 1)  # `read` takes that much memory at once
        except OSError as error:
            raise InvalidSource(name, (error.strerror or str(error)).lower()) from error
        if len(data) <= max_bytes:
            return data
    raise InvalidSource(name, f"has {size:,} bytes, more than the limit of {max_bytes:,}")


def check_regular(path: str | os.PathLike[str]) -> int:
    """Make sure that opening a path waits for nobody; its size in bytes.

    Raises:
        InvalidSource: no such file, no permission, or a folder, a pipe, a device.
    """
    try:
        return regular_size(path)
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
        raise InvalidSource(os.fspath(path), problem) from error


def decode_image(data: bytes, source: str, *, max_pixels: int = MAX_PIXELS) -> Image:
    """Decode an image file that is already in memory: (H, W, 3) uint8 RGB, upright.

    Args:
        data: the whole content of the file.
        source: what to call it in an error.
        max_pixels: largest width × height that is decoded, as the header declares it.

    Raises:
        InvalidSource: not an image, cut off, damaged, without pixels, or too large.
    """
    return decode_reduced(data, source, lambda size: size, max_pixels=max_pixels)[0]


def decode_reduced(
    data: bytes, source: str, min_size: MinSize, *, max_pixels: int = MAX_PIXELS
) -> tuple[Image, tuple[int, int]]:
    """Decode an image file, a JPEG at a half, a quarter or an eighth of its sides if that will do.

    Several times as fast as decoding all of a large photograph. A pixel is then the mean of those
    that it stands for, which is not to the last digit what resizing the whole gives.

    Args:
        data: as for `decode_image`.
        source: as for `decode_image`.
        min_size: how large the result must be at least; a reduced one is twice that.
        max_pixels: as for `decode_image`, of the whole image.

    Returns:
        The image, and the (height, width) that the whole of it has.

    Raises:
        InvalidSource: as for `decode_image`.
    """
    keep_freed_memory()
    header = read_header(data, source)
    height, width = header.size
    if height == 0 or width == 0:
        raise InvalidSource(source, f"has no pixels: it is {width} × {height}")
    if height * width > max_pixels:
        raise InvalidSource(
            source, f"is {width} × {height} pixels, more than the limit of {max_pixels:,} in all"
        )
    if not header.ended:
        data = end_jpeg(data, source)
    whole = (height, width) if header.orientation < 5 else (width, height)
    is_jpeg = header.kind == "JPEG"
    flags = _choose_flag(whole, min_size(whole)) if is_jpeg else cv2.IMREAD_COLOR_BGR
    reduced = is_jpeg and flags != WHOLE
    if header.kind != "TIFF":
        flags |= cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        image = decode_heic(data, source, header.kind, header.size)
    rgb = np.asarray(image if is_jpeg else cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
    if header.deep and rgb.max() < DARK:
        warn_of_low_bits(data, source)
    upright = orient(rgb, header.orientation)
    return upright, whole if reduced else (upright.shape[0], upright.shape[1])


def _choose_flag(whole: tuple[int, int], needed: tuple[int, int]) -> int:
    """OpenCV's flag for the smallest that is as large as needed, and some more."""
    for share, flag in REDUCED.items():
        if all(
            side >= share * REDUCE_MARGIN * least for side, least in zip(whole, needed, strict=True)
        ):
            return flag
    return WHOLE


def orient(image: Image, orientation: int) -> Image:
    """Turn an image upright.

    Args:
        image: (H, W, 3).
        orientation: 1 to 8, as EXIF counts; 5 to 8 exchange height and width.
    """
    exchange, flip = TURNS[orientation]
    turned = cv2.transpose(image) if exchange else image
    if flip is not None:
        turned = cv2.flip(turned, flip)
    return np.asarray(turned, np.uint8)


def to_rgb_array(value: object, *, source: str = "image") -> Image:
    """What Python programs hold as an image → (H, W, 3) uint8 RGB.

    Args:
        value: an array of uint8, (H, W, 3) RGB, (H, W, 4) RGBA or (H, W) grey; a PIL image; a path
            as str or Path; or the bytes of an image file. An image from `cv2.imread` is BGR and
            must be turned first: `image[..., ::-1]`. Nothing in the array can tell.
        source: what to call it in an error, where it has no name of its own.

    Raises:
        InvalidSource: none of these, or it cannot be read.
    """
    if isinstance(value, np.ndarray):
        return _from_array(value, source)
    if isinstance(value, (str, os.PathLike)):
        return read_image(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return decode_image(bytes(value), source)
    if is_pil_image(value):
        return _from_pil(value, source)
    raise InvalidSource(
        source,
        f"is a {type(value).__module__}.{type(value).__name__}; expected a path, bytes, a PIL image"
        " or a NumPy array (H, W, 3) of uint8 in RGB",
    )


def is_pil_image(value: object) -> bool:
    """Whether it behaves as a `PIL.Image.Image`; PIL itself is not needed."""
    return all(hasattr(value, name) for name in ("mode", "convert", "getexif", "load"))


def _from_array(array: np.ndarray[Any, Any], source: str) -> Image:
    array = np.asarray(array)  # a matrix stays one of two axes, whatever is asked of it
    given = f"is an array of {array.dtype} of shape {array.shape}"
    if array.ndim == 4:
        raise InvalidSource(source, f"{given}; expected one image, not a batch: pass a list")
    if array.ndim == 3 and array.shape[2] not in (1, 3, 4) and array.shape[0] in (1, 3, 4):
        raise InvalidSource(
            source, f"{given}; expected (H, W, 3): write image.transpose(1, 2, 0) for (C, H, W)"
        )
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise InvalidSource(source, f"{given}; expected (H, W, 3), (H, W, 4) or (H, W)")
    if array.dtype != np.uint8:
        raise InvalidSource(
            source,
            f"{given}; expected uint8 from 0 to 255: for values from 0 to 1 write"
            " (image * 255).round().astype(numpy.uint8)",
        )
    if array.size == 0:
        raise InvalidSource(source, f"{given}; it has no pixels")
    if array.shape[0] * array.shape[1] > MAX_ARRAY:  # views of one number can be of any size
        raise InvalidSource(source, f"{given}, more than the limit of {MAX_ARRAY:,} pixels")
    if array.ndim == 2 or array.shape[2] == 1:
        array = np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(array[..., :3])


def _from_pil(value: Any, source: str) -> Image:
    name = getattr(value, "filename", "") or source
    try:
        orientation = value.getexif().get(0x0112, 1)
        if value.mode.startswith("I;16"):  # PIL would cut values off at 255
            warn_of_values(int(np.asarray(value).max(initial=0)), str(name))
            array = (np.asarray(value) >> 8).astype(np.uint8)
        else:
            array = np.asarray(value.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:  # what PIL raises for damaged files
        raise InvalidSource(str(name), f"PIL cannot decode it: {error}") from error
    return orient(_from_array(array, str(name)), orientation if orientation in TURNS else 1)


@cache
def keep_freed_memory() -> bool:
    """Let each heap keep what it frees, up to 128 MiB; whether that was possible and wanted.

    glibc gives large blocks back as soon as they are free, and the system hands out zeroed pages in
    their place, 2 microseconds each on a virtual machine: 4 ms for an image of 1920 × 1080. Nothing
    is done where the user chose in the environment, or where there is no glibc.

    Evidence, two cores of an EPYC, 2026-11-22: the training loader makes 275 mosaics a second from
    JPEG files instead of 170; from a file of 1920 × 1080 to its boxes takes 16 ms instead of 22.
    """
    if sys.platform != "linux" or any(os.environ.get(name) for name in CHOSEN):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    asked = ((TRIM_THRESHOLD, KEPT), (MMAP_THRESHOLD, LARGEST))
    return all(library.mallopt(option, size) for option, size in asked)


@dataclass(frozen=True)
class VideoInfo:
    """What a video or stream says of itself."""

    size: tuple[int, int]  # (height, width) of its frames, upright
    fps: float | None  # frames a second; None where it does not say
    frame_count: int | None  # None for a stream, a camera, or where it does not say


@dataclass(frozen=True, eq=False)  # arrays have no one answer to ==
class Frame:
    """An image with its origin; or, in place of the image, the problem with it.

    `InvalidSource(frame.name, frame.problem)` is the message for the user. Where neither is there,
    the image has been let go, and `size` is what is left of it.
    """

    name: str  # path, URL or camera, without any password
    image: Image | None = None  # (H, W, 3) uint8 RGB, upright
    problem: str | None = None  # why there is no image
    index: int = 0  # number of the frame in its video, of a file in its list; else 0
    video: VideoInfo | None = None  # of which it is a frame
    time: float | None = None  # of the frame in its video, in seconds; None where it is not told
    original: tuple[int, int] | None = None  # (height, width), where `image` is smaller or gone
    reduced: bool = False  # decoded as a reduced copy: what is found in it is near, not equal

    def __post_init__(self) -> None:
        found = self.image is not None or (self.original is not None and self.problem is None)
        if found == (self.problem is not None):
            raise InvalidValue("frame", self.name, "either an image or a problem")

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) of the original; None where it could not be read."""
        if self.image is None or self.original is not None:
            return self.original
        return self.image.shape[0], self.image.shape[1]
