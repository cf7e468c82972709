"""HEIC photographs, through a plug-in of Pillow that the user installs.

Scantling brings none, in no extra: wheels of such plug-ins may bundle libraries under the GPL.
"""

import io
import re
import sys
import warnings
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import cv2
import numpy as np

from ..errors import InvalidSource
from ..structures import Image

SUFFIXES = frozenset((".heic", ".heif", ".hif"))
SIGNATURE = re.compile(rb"....ftyp(hei|hev|mif1|msf1)", re.DOTALL)
SAMPLE = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"  # how such a file begins
PLUGINS = ("pillow_heif", "pi_heif")
ADVICE = "pip install pillow-heif"
ORIENTATION = 0x0112  # of EXIF

Size = tuple[int, int]  # (height, width)


def reads_heic() -> bool:
    """Whether a plug-in is there: one of `PLUGINS`, or any that is registered with Pillow."""
    return bool(_formats(SAMPLE))


def is_readable(data: bytes) -> bool:
    """Whether a file is HEIC, and there is a plug-in for it."""
    return SIGNATURE.match(data) is not None and bool(_formats(data[:32]))


def read_heic(data: bytes, source: str) -> tuple[Size, int]:
    """(height, width) as the plug-in gives it, and its EXIF orientation, without decoding it.

    Raises:
        InvalidSource: it is damaged.
    """
    try:
        with _open(data) as image:
            orientation = image.getexif().get(ORIENTATION, 1)
            width, height = image.size
    except MemoryError:
        raise
    except Exception as error:  # whatever a plug-in raises for damaged files
        raise InvalidSource(source, f"the HEIC data cannot be read: {error}") from error
    return (height, width), orientation if orientation in range(1, 9) else 1


def decode_heic(data: bytes, source: str, kind: str, size: Size) -> Image:
    """Decode what OpenCV does not: (H, W, 3) BGR, as it is stored.

    Args:
        data: the whole content of the file.
        source: what to call it.
        kind: of image; nothing else decodes any other than HEIC.
        size: (height, width) that its header gave, which bounds what is decoded.

    Raises:
        InvalidSource: it is damaged, or of another kind.
    """
    if kind != "HEIC":
        raise InvalidSource(
            source,
            f"the {kind} data cannot be decoded: it is damaged, cut off, or of a kind that"
            f" OpenCV {cv2.__version__} does not read",
        )
    try:
        with _open(data) as image:
            if image.size != size[::-1]:
                raise ValueError(f"{image.size} pixels, and {size[::-1]} in its header")
            pixels = np.asarray(image.convert("RGB"))
    except MemoryError:
        raise
    except Exception as error:
        raise InvalidSource(source, f"the HEIC data cannot be decoded: {error}") from error
    if pixels.shape != (*size, 3):
        raise InvalidSource(source, f"the HEIC data is damaged: it decodes to {pixels.shape}")
    return np.ascontiguousarray(pixels[..., ::-1])


def _open(data: bytes) -> Any:
    """The image, by one of the plug-ins alone: Pillow's own readers are not for untrusted files."""
    pillow: Any = sys.modules["PIL.Image"]
    with warnings.catch_warnings():  # the limit is ours
        warnings.simplefilter("ignore", pillow.DecompressionBombWarning)
        return pillow.open(io.BytesIO(data), formats=_formats(data[:32]))


def _formats(prefix: bytes) -> list[str]:
    """Formats of Pillow that are none of its own and accept what begins so."""
    _register()
    pillow: Any = sys.modules.get("PIL.Image")
    if pillow is None:
        return []
    return [
        name
        for name, (factory, accepts) in pillow.OPEN.items()
        if not factory.__module__.startswith("PIL.")
        and accepts is not None
        and accepts(prefix) is True
    ]


@cache
def _register() -> None:
    """Import what is installed of `PLUGINS`, and let Pillow know of it."""
    for name in PLUGINS:
        if find_spec(name) is not None:
            try:
                import_module(name).register_heif_opener()
            except (ImportError, AttributeError, OSError):  # it does not work here
                continue
            return
