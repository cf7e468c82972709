"""The size and the turning of an AVIF image, from the boxes in front of its data.

Format: ISO/IEC 23008-12 (HEIF): the boxes meta, pitm, iprp, ipco, ipma, ispe, irot and imir.
"""

import struct
from collections.abc import Iterator

MAX_BOXES = 10_000

# EXIF orientation of (quarter turns anti-clockwise, then mirrored along an axis or not).
# Axis 0 exchanges top and bottom, axis 1 left and right.
ORIENTATIONS = {
    (0, None): 1, (1, None): 8, (2, None): 3, (3, None): 6,
    (0, 0): 4, (1, 0): 5, (2, 0): 2, (3, 0): 7,
    (0, 1): 2, (1, 1): 7, (2, 1): 4, (3, 1): 5,
}  # fmt: skip


def read_avif(data: bytes) -> tuple[tuple[int, int], int]:
    """(height, width) as stored, and the EXIF orientation that its own turning amounts to.

    Raises:
        struct.error: the boxes are cut off.
        IndexError: a box that is needed is missing.
    """
    meta = _find(data, 0, len(data), b"meta")
    version_end = 4  # `meta` and `pitm` begin with a version and flags
    start, end = meta[0] + version_end, meta[1]
    primary = _find(data, start, end, b"pitm")
    wide = data[primary[0]] > 0
    (item,) = struct.unpack_from(">I" if wide else ">H", data, primary[0] + version_end)
    properties = _find(data, start, end, b"iprp")
    container = _find(data, *properties, b"ipco")
    boxes = list(_boxes(data, *container))
    size, turns, mirror = (0, 0), 0, None
    for index in _associated(data, _find(data, *properties, b"ipma")[0], item):
        name, body, _ = boxes[index - 1]
        if name == b"ispe":
            width, height = struct.unpack_from(">II", data, body + 4)
            size = (height, width)
        elif name == b"irot":
            turns = data[body] & 3
        elif name == b"imir":
            mirror = data[body] & 1
    return size, ORIENTATIONS[turns, mirror]


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(name, start of the body, end) of each box between two offsets."""
    for _ in range(MAX_BOXES):
        if start + 8 > end:
            return
        length, name = struct.unpack_from(">I4s", data, start)
        body = start + 8
        if length == 1:  # a 64-bit length follows
            (length,) = struct.unpack_from(">Q", data, body)
            body += 8
        stop = end if length == 0 else start + length  # 0: to the end
        if stop < body:
            raise IndexError(start)
        yield name, body, min(stop, end)
        start = stop


def _find(data: bytes, start: int, end: int, name: bytes) -> tuple[int, int]:
    for found, body, stop in _boxes(data, start, end):
        if found == name:
            return body, stop
    raise IndexError(name)


def _associated(data: bytes, start: int, wanted: int) -> list[int]:
    """Numbers, from 1, of the properties of one item, in the order in which they apply."""
    version, flags, count = struct.unpack_from(">B2xBI", data, start)
    position = start + 8
    item_format = ">H" if version < 1 else ">I"
    for _ in range(min(count, MAX_BOXES)):
        (item,) = struct.unpack_from(item_format, data, position)
        position += struct.calcsize(item_format)
        number, step = data[position], 2 if flags & 1 else 1
        position += 1
        if item == wanted:
            mask, letter = (0x7FFF, "H") if flags & 1 else (0x7F, "B")
            entries = struct.unpack_from(f">{number}{letter}", data, position)
            return [entry & mask for entry in entries if entry & mask]
        position += number * step
    raise IndexError(wanted)
