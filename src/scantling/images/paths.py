"""What a path stands for: an image or video, a folder of them, a pattern, or a list of paths."""

import glob
import os
import re
import stat
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

from .location import (
    SCHEME,
    VIDEO_SUFFIXES,
    Location,
    describe_suffixes,
    kind_by_suffix,
    locate_url,
)
from .read import describe_mode

# A file in every folder of results: predicting a folder must not go on with what it writes there.
OUTPUT_MARK = ".scantling-output"
MAX_LINE = 32_768  # bytes of one line of a list: far above any path, far below any memory
MAX_NEIGHBOURS = 1_000  # files looked through for a name like the one that is missing


def locate_path(path: str) -> Iterator[Location]:
    """What a path stands for. A name that exists is taken literally, whatever is in it."""
    try:
        mode = Path(path).stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if glob.has_magic(path):
            yield from _locate_pattern(path)
        else:
            yield Location("problem", path, _describe_missing(Path(path)))
    except (OSError, ValueError) as error:
        yield Location("problem", path, f"cannot be read: {describe_failure(error)}")
    else:
        if stat.S_ISREG(mode) and Path(path).suffix.lower() == ".txt":
            yield from _locate_list(path)
        else:
            yield from _locate_existing(path, mode)


def locate_line(line: bytes, *, bases: tuple[str, ...]) -> Iterator[Location]:
    """What a line of a list, or of standard input, stands for: never a pattern or another list.

    Args:
        line: with its end; nothing comes of a blank one, or one that begins with `#`.
        bases: folders that a relative path is looked for in, in turn; "" is the working directory.
    """
    if len(line) >= MAX_LINE:
        yield Location("problem", "list", f"a line has more than {MAX_LINE:,} bytes: not a path")
        return
    text = os.fsdecode(line.removeprefix(b"\xef\xbb\xbf")).strip("\r\n")
    if not text.strip() or text.startswith("#"):
        return
    if SCHEME.match(text.strip()):
        yield locate_url(text.strip())
        return
    for path in [Path(base, name) for name in (text, text.strip()) for base in bases]:
        try:
            mode = path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError) as error:
            yield Location("problem", text, f"cannot be read: {describe_failure(error)}")
            return
        if path.suffix.lower() == ".txt" and stat.S_ISREG(mode):
            problem = "is a list inside a list; expected an image, a video or a URL"
            yield Location("problem", str(path), problem)
        else:
            yield from _locate_existing(str(path), mode)
        return
    where = " or ".join(repr(base) if base else "the working directory" for base in bases)
    yield Location("problem", text, f"no such file in {where}")


def describe_failure(error: Exception) -> str:
    """What the operating system says, without its number and the path."""
    return (getattr(error, "strerror", None) or str(error)).lower()


def _locate_existing(path: str, mode: int) -> Iterator[Location]:
    if stat.S_ISDIR(mode):
        yield from _locate_folder(path)
    elif stat.S_ISREG(mode):
        is_video = Path(path).suffix.lower() in VIDEO_SUFFIXES
        yield Location("video" if is_video else "image", path, path)
    else:
        yield Location("problem", path, f"is a {describe_mode(mode)}, not an image file")


def _locate_folder(folder: str) -> Iterator[Location]:
    """Images and videos in a folder and below, sorted, without hidden ones and older results."""
    found, others = False, 0
    failed: list[OSError] = []
    for parent, folders, files in os.walk(folder, onerror=failed.append):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and not Path(parent, name, OUTPUT_MARK).exists()
        )
        for file in sorted(name for name in files if not name.startswith(".")):
            if kind := kind_by_suffix(file):
                found = True
                path = str(Path(parent, file))
                yield Location(kind, path, path)
            else:
                others += 1
    for error in failed:
        problem = f"cannot be read: {describe_failure(error)}"
        yield Location("problem", str(error.filename or folder), problem)
    if not found and not failed:
        what = f"none of its {others} files is an image or a video" if others else "has no files"
        yield Location("problem", folder, f"{what}; {describe_suffixes()}")


def _locate_pattern(pattern: str) -> Iterator[Location]:
    """Images and videos that a pattern matches, sorted; `**` matches any depth of folders."""
    try:
        matches = sorted(glob.iglob(pattern, recursive=True))  # noqa: PTH207 - takes absolute ones
    except (re.error, ValueError) as error:
        yield Location("problem", pattern, f"is no pattern: {error}")
        return
    found = False
    for path in matches:
        if kind := kind_by_suffix(path):
            found = True
            yield Location(kind, path, path)
    if not found and matches:
        problem = f"none of the {len(matches)} names it matches is an image or a video"
        yield Location("problem", pattern, f"{problem}; {describe_suffixes()}")
    elif not found:
        yield Location("problem", pattern, "no such file, and as a pattern it matches none")


def _locate_list(path: str) -> Iterator[Location]:
    """What a text file names, one a line, relative to the list or, as in darknet, to here."""
    found = False
    try:
        with Path(path).open("rb") as lines:
            for line in iter(lambda: lines.readline(MAX_LINE), b""):
                for location in locate_line(line, bases=(str(Path(path).parent), "")):
                    found = True
                    yield location
                if len(line) >= MAX_LINE:  # where its next line would begin is anybody's guess
                    return
    except OSError as error:
        found = True
        yield Location("problem", path, f"cannot be read: {describe_failure(error)}")
    if not found:
        yield Location("problem", path, "is a list that names nothing; expected one path a line")


def _describe_missing(path: Path) -> str:
    """Why there is nothing at a path, with the nearest name in its folder."""
    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for entry in islice(entries, MAX_NEIGHBOURS)]
    except OSError as error:
        return f"its folder {str(path.parent)!r} cannot be read: {describe_failure(error)}"
    nearest = get_close_matches(path.name, names, n=1)
    hint = f"; the nearest name there is {nearest[0]!r}" if nearest else ""
    return f"no such file or folder{hint}"
