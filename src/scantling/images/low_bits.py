"""Images of 16 bits that use the low ones alone, as thermal cameras and sensors of 12 bits write.

The upper 8 bits are what is read, as everywhere; of such an image they are nearly black.
"""

import logging

import cv2
import numpy as np

logger = logging.getLogger(__name__)

DARK = 17  # of 256, which 12 of 16 bits do not reach, rounded or not
SENSORS = (8, 10, 12)  # bits that such images have


def warn_of_low_bits(data: bytes, source: str) -> None:
    """Log a warning if no value of an image of 16 bits has any of its upper bits.

    Args:
        data: the whole content of the file.
        source: what to call it.
    """
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16:
        return
    warn_of_values(int(values.max()), source)


def warn_of_values(highest: int, source: str) -> None:
    """The same, of the highest value."""
    bits = next((bits for bits in SENSORS if 0 < highest < 2**bits), None)
    if bits is not None:
        logger.warning(
            f"{source}: its 16-bit values use the low {bits} bits alone (the highest is {highest:,}"
            f" of 65,535), so it is read as nearly black; multiply them by {2 ** (16 - bits)}"
        )
