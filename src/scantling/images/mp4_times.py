"""The moments at which the frames of an MP4 are shown, written into a finished file.

OpenCV writes frames at one rate. What says when each is shown stands in a table of durations apart
from the pictures, at the end of the file. Source: ISO/IEC 14496-12, section 8.6.1.2.
"""

import struct
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import BinaryIO

CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts"})
LONGEST = 2**32 - 1  # a duration in a file of this kind


def set_frame_times(path: Path, times: Sequence[float], last: float) -> bool:
    """Give each frame of an MP4 of one video track its own time.

    Args:
        path: a file as OpenCV writes it: the tables behind the pictures, none of 64 bits.
        times: of each frame, in seconds, each later than the one before.
        last: how long the last frame is shown, in seconds.

    Returns:
        Whether it was done; the file stays as it was where it is of another form, or does not
        hold that many frames.
    """
    with path.open("rb+") as file:
        start = _find_tables(file.seek(0, 2), file)
        if start is None:
            return False
        file.seek(start)
        tables = file.read()
        made = _with_times(tables, times, last)
        if made is None:
            return False
        file.seek(start)
        file.write(made)
        file.truncate()
    return True


def _find_tables(size: int, file: BinaryIO) -> int | None:
    """Where the `moov` box begins, if it is the last of the file."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8))
        if kind == b"moov":
            return position if position + length == size else None
        if length < 8:
            return None
        position += length
    return None


def _with_times(tables: bytes, times: Sequence[float], last: float) -> bytes | None:
    """The `moov` box with other durations."""
    boxes = dict(_walk(tables))
    wanted = (b"mvhd", b"tkhd", b"mdhd", b"stts")
    if not all(kind in boxes and boxes[kind][:1] == b"\0" for kind in wanted):
        return None
    if sum(kind == b"trak" for kind, _ in _walk(tables)) != 1 or b"ctts" in boxes:
        return None
    (clock,) = struct.unpack_from(">I", boxes[b"mdhd"], 12)
    (movie_clock,) = struct.unpack_from(">I", boxes[b"mvhd"], 12)
    ticks = [round((time - times[0]) * clock) for time in times]
    durations = [after - before for before, after in pairwise(ticks)] + [round(last * clock)]
    entries = struct.iter_unpack(">II", boxes[b"stts"][8:])
    if sum(count for count, _ in entries) != len(times) or min(durations) < 1:
        return None
    whole = sum(durations)
    shown = round(whole * movie_clock / clock)
    if max(whole, shown) > LONGEST:
        return None
    runs = [(len(list(run)), duration) for duration, run in groupby(durations)]
    table = struct.pack(">II", 0, len(runs)) + b"".join(struct.pack(">II", *run) for run in runs)
    changes = {
        b"stts": table,
        b"mdhd": _put(boxes[b"mdhd"], 16, whole),
        b"mvhd": _put(boxes[b"mvhd"], 16, shown),
        b"tkhd": _put(boxes[b"tkhd"], 20, shown),
    }
    if b"elst" in boxes:
        if struct.unpack_from(">BxxxI", boxes[b"elst"]) != (0, 1):
            return None
        changes[b"elst"] = _put(boxes[b"elst"], 8, shown)
    return _rebuilt(tables, changes)


def _put(body: bytes, place: int, value: int) -> bytes:
    return body[:place] + struct.pack(">I", value) + body[place + 4 :]


def _walk(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of every box, those inside others too."""
    position = 0
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        if length < 8:
            return
        body = data[position + 8 : position + length]
        yield kind, body
        if kind in CONTAINERS:
            yield from _walk(body)
        position += length


def _rebuilt(data: bytes, changes: dict[bytes, bytes]) -> bytes:
    """The boxes with some bodies changed, and lengths that fit."""
    made, position = b"", 0
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        body = data[position + 8 : position + length]
        body = _rebuilt(body, changes) if kind in CONTAINERS else changes.get(kind, body)
        made += struct.pack(">I4s", 8 + len(body), kind) + body
        position += length
    return made
