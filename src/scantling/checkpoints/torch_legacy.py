"""The container that `torch.save` wrote before torch 1.6: pickles in a row, then the numbers."""

import io
import struct
from typing import IO, Any

from .pickle_machine import run_pickle
from .pickle_rules import ITEM_SIZES, Malformed
from .pickle_values import Extent, Storage

MAX_HEAD = 32 * 2**20  # bytes that the pickles may take
MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001


def read_legacy(stream: IO[bytes], size: int) -> tuple[Any, dict[str, Extent]]:
    """The value in a file of `size` bytes, and where the numbers of its storages lie.

    Raises:
        Refused: its pickle asks for something that is not allowed.
        Malformed: it is damaged, or `torch.save` did not write it.
    """
    start = stream.read(MAX_HEAD)
    if start[:1] != b"\x80":
        raise Malformed("it was not written by torch.save")
    head = io.BytesIO(start)
    if run_pickle(head)[0] != MAGIC:
        raise Malformed("it is a pickle, but not one that torch.save wrote")
    if run_pickle(head)[0] != PROTOCOL:
        raise Malformed("it has an unknown version of torch's old format")
    system = run_pickle(head)[0]
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise Malformed("its numbers are not little-endian")
    value, storages = run_pickle(head)
    keys = run_pickle(head)[0]
    if not isinstance(keys, list) or set(storages) != {k for k in keys if isinstance(k, str)}:
        raise Malformed("its list of storages does not go with its tensors")
    if len(keys) != len(storages):
        raise Malformed("its list of storages names one twice")
    return value, _extents(stream, head.tell(), size, [storages[key] for key in keys])


def _extents(
    stream: IO[bytes], start: int, size: int, storages: list[Storage]
) -> dict[str, Extent]:
    """Each storage is its length as a 64-bit integer, then its numbers."""
    extents = {}
    for storage in storages:
        stream.seek(start)
        prefix = stream.read(8)
        if len(prefix) != 8 or struct.unpack("<q", prefix)[0] != storage.length:
            raise Malformed(f"tensor storage {storage.key} has another length than its tensors say")
        length = storage.length * ITEM_SIZES[storage.dtype]
        if start + 8 + length > size:
            raise Malformed(f"it ends inside tensor storage {storage.key}")
        extents[storage.key] = Extent(start + 8, length)
        start += 8 + length
    return extents
