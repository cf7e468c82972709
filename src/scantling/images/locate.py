"""Every image, video and stream that the user's sources stand for, found lazily, in order."""

import os
import sys
from collections.abc import Iterable, Iterator
from typing import IO

import numpy as np

from .location import SCHEME, Location, locate_url
from .paths import MAX_LINE, locate_line, locate_path
from .read import is_pil_image

# In a stream of locations: finding the next may take for ever, so hand on what has been read.
PAUSE = None


def locate(sources: object) -> Iterator[Location | None]:
    """Everything to open, in order; `PAUSE` before each wait for standard input or a generator.

    Args:
        sources: as for `read_sources`.
    """
    waits = not is_counted(sources)
    given = iter(as_sources(sources))
    for number in range(sys.maxsize):
        if waits:
            yield PAUSE
        try:
            source = next(given)
        except StopIteration:
            return
        yield from _locate_one(source, number)


def as_sources(sources: object) -> Iterable[object]:
    """Several sources as they are; a single one as a list of one."""
    single = (str, bytes, bytearray, memoryview, os.PathLike, np.ndarray)
    if isinstance(sources, single) or is_pil_image(sources) or not isinstance(sources, Iterable):
        return [sources]
    return sources


def is_counted(sources: object) -> bool:
    """Whether the sources are all there already, so that going over them uses nothing up."""
    return isinstance(as_sources(sources), (list, tuple))


def is_standard_input(source: object) -> bool:
    """Whether a source stands for paths that arrive on standard input."""
    return isinstance(source, str) and source == "-"


def _locate_one(source: object, number: int) -> Iterator[Location | None]:
    if is_standard_input(source):
        yield from _locate_standard_input()
    elif isinstance(source, str) and source.isascii() and source.isdecimal():
        yield _locate_camera(int(source))
    elif isinstance(source, int) and not isinstance(source, bool):
        yield _locate_camera(source)
    elif isinstance(source, str) and SCHEME.match(source):
        yield locate_url(source)
    elif isinstance(source, (str, os.PathLike)):
        yield from locate_path(os.fsdecode(source))
    else:
        yield Location("memory", f"image {number}", source)


def _locate_camera(number: int) -> Location:
    if not 0 <= number < 2**31:
        return Location("problem", f"camera {number}", "is no camera; the first is 0")
    return Location("camera", f"camera {number}", number)


def _locate_standard_input() -> Iterator[Location | None]:
    try:
        # A reader of its own: one that still waits when the program ends would hold the lock of
        # `sys.stdin`, on which Python's shutdown aborts.
        lines: IO[bytes] = os.fdopen(sys.stdin.fileno(), "rb", closefd=False)
    except (OSError, ValueError):  # standard input was replaced by something in memory
        lines = sys.stdin.buffer
    while True:
        yield PAUSE
        line = lines.readline(MAX_LINE)
        yield from locate_line(line, bases=("",))
        if not line or len(line) >= MAX_LINE:
            return
