"""JPEG files without their last two bytes, as some cameras and optimisers write them."""

import logging

import cv2
import numpy as np

from ..errors import InvalidSource

logger = logging.getLogger(__name__)

END = b"\xff\xd9"
# What a decoder takes for more of the picture, where it is not at its end: no byte is a marker. One
# alone may happen to say what the decoder makes of nothing.
MORE = tuple(bytes([byte]) * 3000 for byte in (0x55, 0xAA, 0xF0, 0xFE))


def end_jpeg(data: bytes, source: str) -> bytes:
    """The same JPEG with its end marker; a warning is logged.

    Whether all rows are there is told by decoding it several times, with the end marker alone and
    with more data in front of it: only where some are missing does that change a pixel.

    Args:
        data: of a JPEG that is not progressive and has no end marker.
        source: what to call it.

    Raises:
        InvalidSource: rows are missing.
    """
    body = data.rstrip(b"\xff")  # half of the end marker, perhaps
    plain = _decode(body + END)
    if plain is None or not all(_is_same(plain, _decode(body + more + END)) for more in MORE):
        raise InvalidSource(source, "the JPEG data is cut off: it has no end marker")
    logger.warning(f"{source}: the JPEG has no end marker; all its rows are there, and are read")
    return body + END


def _is_same(image: np.ndarray, other: np.ndarray | None) -> bool:
    return other is not None and np.array_equal(image, other)


def _decode(data: bytes) -> np.ndarray | None:
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
