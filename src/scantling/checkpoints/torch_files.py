"""The two containers that `torch.save` writes, opened without running anything in them.

Since torch 1.6 a zip file, whose entries are not compressed; before that a row of pickles with the
numbers behind them. Only the pickle is read here; tensors are read one at a time, when asked for.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from ..errors import InvalidCheckpoint, UnsafeCheckpoint, unreadable
from ..io import find_foreign, open_regular
from .pickle_machine import run_pickle
from .pickle_rules import ITEM_SIZES, Malformed, Refused, StoredTensor, TensorStorage

MAX_PICKLE = 32 * 2**20  # bytes; that of the largest published network has 1.5 million
MAX_DIRECTORY = 16 * 2**20  # bytes of the table of contents
_LONGEST_TAIL = 56 + 20 + 22 + 65_535  # the two ends of the table, and a comment
MAX_HEAD = 32 * 2**20  # bytes that the pickles of the old format may take
MOST_READS = 8  # how often the numbers of a file may be read, if tensors share them
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
_REFETCH = "Fetch the file again, or save it anew with torch.save"


@dataclass(frozen=True, slots=True)
class Extent:
    """Where the numbers of a storage lie in the file, in bytes, and their CRC-32 if it is known."""

    start: int
    length: int
    checksum: int | None = None


@dataclass(frozen=True)
class TorchFile:
    """What a `.pt` file holds: plain data and inert records, with its tensors still on disk."""

    path: Path
    value: Any
    extents: Mapping[str, Extent]


def read_torch_file(path: Path) -> TorchFile:
    """What `torch.save` wrote into a file. Nothing of it is run, no tensor is read yet.

    Raises:
        UnsafeCheckpoint: its pickle asks for more than tensors, containers and inert classes.
        InvalidCheckpoint: it is damaged, or was not written by `torch.save`.
    """
    try:
        with open_regular(path) as stream:
            start = stream.read(512)
            stream.seek(0)
            if start[257:262] == b"ustar":
                raise Malformed("it is a tar file, as before torch 0.1.10")
            if start[:4] != b"PK\x03\x04" and (foreign := find_foreign(start)):
                raise Malformed(f"it is {foreign}")
            read = read_zip if start[:4] == b"PK\x03\x04" else read_legacy
            return TorchFile(path, *read(stream, path.stat().st_size))
    except OSError as error:
        raise InvalidCheckpoint(
            str(path), unreadable(error), "Give the path of a .pt file"
        ) from error
    except Refused as error:
        raise UnsafeCheckpoint(
            str(path),
            f"its pickle {error}; nothing of it was run",
            "Do not load this file unless you trust who made it; "
            "if you do, save the state dict of its model alone and use that",
        ) from error
    except Malformed as error:
        raise InvalidCheckpoint(str(path), str(error), _REFETCH) from error


def read_tensors(
    file: TorchFile, stored: Mapping[str, StoredTensor]
) -> Iterator[tuple[str, Tensor]]:
    """Read tensors from the file, one at a time, in the type that they were saved in.

    Raises:
        InvalidCheckpoint: the file is damaged, or holds fewer bytes than it promised.
    """
    left = MOST_READS * sum(extent.length for extent in file.extents.values())
    with open_regular(file.path) as stream:
        for name, tensor in stored.items():
            left -= _span(tensor) * ITEM_SIZES[tensor.storage.dtype]
            if left < 0:
                problem = "its tensors share their numbers, or leave most of them out"
                raise InvalidCheckpoint(str(file.path), problem, _REFETCH)
            yield name, _read_tensor(file, stream, tensor)


def _span(stored: StoredTensor) -> int:
    """How many numbers lie from the first of a tensor to its last."""
    if 0 in stored.shape:
        return 0
    steps = zip(stored.shape, stored.stride, strict=True)
    return 1 + sum((size - 1) * step for size, step in steps)


def _read_tensor(file: TorchFile, stream: IO[bytes], stored: StoredTensor) -> Tensor:
    dtype = getattr(torch, stored.storage.dtype)
    if 0 in stored.shape:
        return torch.empty(stored.shape, dtype=dtype)
    item = ITEM_SIZES[stored.storage.dtype]
    span = _span(stored)
    extent = file.extents[stored.storage.key]
    stream.seek(extent.start + stored.offset * item)
    data = bytearray(span * item)
    if stream.readinto(data) != len(data):  # type: ignore[attr-defined]
        raise InvalidCheckpoint(str(file.path), "it ends inside a tensor", _REFETCH)
    is_whole = len(data) == extent.length  # of a part the checksum says nothing
    if is_whole and extent.checksum not in (None, zlib.crc32(data)):
        raise InvalidCheckpoint(str(file.path), "a tensor in it is damaged", _REFETCH)
    return torch.frombuffer(data, dtype=dtype).as_strided(stored.shape, stored.stride)


def read_zip(stream: IO[bytes], size: int) -> tuple[Any, dict[str, Extent]]:
    """The value in a zip file of `size` bytes, and where the numbers of its storages lie.

    Raises:
        Refused: its pickle asks for something that is not allowed.
        Malformed: it is damaged, or `torch.save` did not write it.
    """
    check_directory(stream, size)
    try:
        archive = zipfile.ZipFile(stream)
        entries = archive.infolist()
        _check_entries(entries, size)
        root = _root(entries)
        by_name = {entry.filename: entry for entry in entries}
        order = by_name.get(f"{root}/byteorder")
        if order is not None and (order.file_size > 16 or archive.read(order) != b"little"):
            raise Malformed("its numbers are not little-endian")
        pickled = archive.read(f"{root}/data.pkl")
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise Malformed(f"its zip container is damaged ({str(error)[:100]})") from error
    except (struct.error, ValueError) as error:
        raise Malformed("its zip container is damaged") from error
    value, storages = run_pickle(io.BytesIO(pickled))
    extents = {}
    for key, storage in storages.items():
        entry = by_name.get(f"{root}/data/{key}")
        if entry is None:
            raise Malformed(f"it lacks the numbers of tensor storage {key}")
        extents[key] = _zip_extent(stream, entry, size)
        if extents[key].length < storage.length * ITEM_SIZES[storage.dtype]:
            raise Malformed(f"tensor storage {key} is shorter than its tensors say")
    return value, extents


def check_directory(stream: IO[bytes], size: int) -> None:
    """Refuse a table of contents so long that reading it would take all memory."""
    tail_start = max(0, size - _LONGEST_TAIL)
    stream.seek(tail_start)
    tail = stream.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) < end + 22:
        raise Malformed("its zip container has no table of contents; it is cut short")
    length = struct.unpack_from("<I", tail, end + 12)[0]
    if tail[: max(0, end - 16)].endswith(b"PK\x06\x07"):  # torch always writes the 64-bit form too
        large = end - 20 - 56
        if tail[large : large + 4] != b"PK\x06\x06" or large < 0:
            raise Malformed("its zip container has a damaged table of contents")
        if struct.unpack_from("<Q", tail, end - 12)[0] != tail_start + large:
            raise Malformed("its zip container has a damaged table of contents")
        length = struct.unpack_from("<Q", tail, large + 40)[0]
    if length > MAX_DIRECTORY:
        raise Malformed(f"its zip container has a table of contents of {length} bytes")


def _check_entries(entries: list[zipfile.ZipInfo], size: int) -> None:
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise Malformed("an entry of its zip container is compressed; torch never does that")
        if entry.flag_bits & 1:
            raise Malformed("an entry of its zip container is encrypted")
    if sum(entry.file_size for entry in entries) > size:
        raise Malformed("the entries of its zip container are larger than the file")
    if len({entry.filename for entry in entries}) != len(entries):
        raise Malformed("two entries of its zip container have the same name")


def _root(entries: list[zipfile.ZipInfo]) -> str:
    """The folder that torch puts everything into."""
    pickles = [entry for entry in entries if entry.filename.endswith("/data.pkl")]
    if len(pickles) != 1 or pickles[0].filename.count("/") != 1:
        raise Malformed("it is a zip file without the one data.pkl that torch.save writes")
    if pickles[0].file_size > MAX_PICKLE:
        raise Malformed(f"its pickle has {pickles[0].file_size} bytes, more than a network needs")
    root = pickles[0].filename.partition("/")[0]
    if any(entry.filename == f"{root}/constants.pkl" for entry in entries):
        raise Malformed("it is a TorchScript archive, which holds a program and not a checkpoint")
    return root


def _zip_extent(stream: IO[bytes], entry: zipfile.ZipInfo, size: int) -> Extent:
    stream.seek(entry.header_offset)
    header = stream.read(30)
    if len(header) != 30 or header[:4] != b"PK\x03\x04":
        raise Malformed("an entry of its zip container is not where the table of contents says")
    name_length, extra_length = struct.unpack_from("<HH", header, 26)
    start = entry.header_offset + 30 + name_length + extra_length
    if start + entry.file_size > size:
        raise Malformed("an entry of its zip container reaches beyond the end of the file")
    return Extent(start, entry.file_size, entry.CRC)


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
    if run_pickle(head)[0] != LEGACY_MAGIC:
        raise Malformed("it is a pickle, but not one that torch.save wrote")
    if run_pickle(head)[0] != LEGACY_PROTOCOL:
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
    return value, _legacy_extents(stream, head.tell(), size, [storages[key] for key in keys])


def _legacy_extents(
    stream: IO[bytes], start: int, size: int, storages: list[TensorStorage]
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
