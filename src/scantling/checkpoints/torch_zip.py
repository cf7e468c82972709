"""The container that `torch.save` writes since torch 1.6: a zip file that compresses nothing."""

import io
import struct
import zipfile
from typing import IO, Any

from .pickle_machine import run_pickle
from .pickle_rules import ITEM_SIZES, Malformed
from .pickle_values import Extent

MAX_PICKLE = 32 * 2**20  # bytes; that of the largest published network has 1.5 million
MAX_DIRECTORY = 16 * 2**20  # bytes of the table of contents
_LONGEST_TAIL = 56 + 20 + 22 + 65_535  # the two ends of the table, and a comment


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
        extents[key] = _extent(stream, entry, size)
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


def _extent(stream: IO[bytes], entry: zipfile.ZipInfo, size: int) -> Extent:
    stream.seek(entry.header_offset)
    header = stream.read(30)
    if len(header) != 30 or header[:4] != b"PK\x03\x04":
        raise Malformed("an entry of its zip container is not where the table of contents says")
    name_length, extra_length = struct.unpack_from("<HH", header, 26)
    start = entry.header_offset + 30 + name_length + extra_length
    if start + entry.file_size > size:
        raise Malformed("an entry of its zip container reaches beyond the end of the file")
    return Extent(start, entry.file_size, entry.CRC)
