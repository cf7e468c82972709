"""Paths that were written on another machine, or in another spelling → the files that they mean."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from ..findings import Problems, shorten
from .files import Folders

MAX_PARTS = 64  # of a path that is looked for

_DRIVE = re.compile(r"[A-Za-z]:(?=/|$)")


def split_path(text: str) -> list[str]:
    """The parts of a path of any system: `C:/data/a.jpg` → ["data", "a.jpg"]."""
    parts = _DRIVE.sub("", text.replace("\\", "/"), count=1).split("/")
    return [part for part in parts if part not in ("", ".")]


class MovedPaths:
    """Finds what the paths of one list or file mean that are not there as they are written.

    A backslash is taken for a slash, upper and lower case for the same, and the folders in front
    that another machine had are left out: the same ones for all paths of the file, so that two
    files of one name in different folders are never taken for each other. No path leads out of the
    folders that are looked in.

    Args:
        file: that the paths are written in; findings name it.
        bases: folders to look in, in turn.
        folders: a cache of listings.
    """

    def __init__(self, file: Path, bases: Sequence[str], folders: Folders) -> None:
        self._file = file
        self._bases = tuple(bases)
        self._folders = folders
        self._moved: tuple[list[str], str] | None = None  # what is left out in front; where it is
        self._first: tuple[str, str, int | None] | None = None
        self._count = 0

    def find(self, written: str, *, line: int | None = None, fewest: int = 1) -> str | None:
        """The path that is meant, or None; remembers that it is another than was written.

        Args:
            written: a path that is not there.
            line: on which it stands.
            fewest: parts that must be left of it.
        """
        found = self._find(written, fewest)
        if found is not None:
            self._count += 1
            self._first = self._first or (written, found, line)
        return found

    def report(self, problems: Problems) -> None:
        """W116, once: which path was read as which, and how many more."""
        if self._first is None:
            return
        written, found, line = self._first
        more = f", and {self._count - 1:,} more like it" if self._count > 1 else ""
        shown = shorten(written, length=200)
        problems.add(
            "W116", f"{shown} is not there; {found!r} is read instead{more}", self._file, line=line
        )

    def _find(self, written: str, fewest: int) -> str | None:
        parts = split_path(written)
        up = next((place for place, part in enumerate(parts) if part != ".."), len(parts))
        if up == len(parts) or ".." in parts[up:] or "\0" in written:
            return None
        if len(parts) > MAX_PARTS or self._folders.is_full:
            return None  # each end of the path is looked for in each folder
        if not up and not _leads_away(written) and (found := self._look("/".join(parts))):
            return found
        if self._moved is not None:
            before, base = self._moved
            if parts[: len(before)] != before:
                return None
            return self._folders.find(os.path.join(base, *parts[len(before) :]))  # noqa: PTH118
        for place in range(max(1, up), len(parts) - fewest + 1):
            for base in self._bases:
                path = os.path.join(base, *parts[place:])  # noqa: PTH118
                if found := self._folders.find(path):
                    self._moved = parts[:place], base
                    return found
        return None

    def _look(self, path: str) -> str | None:
        """A relative path in each of the folders."""
        found = (self._folders.find(os.path.join(base, path)) for base in self._bases)  # noqa: PTH118
        return next((one for one in found if one), None)


def _leads_away(written: str) -> bool:
    text = written.replace("\\", "/")
    return text.startswith("/") or _DRIVE.match(text) is not None
