"""What is kept between runs: of which kinds, how large, since when unused; and its budget.

Whatever can be made again counts against the budget, and what was used longest ago goes first.
Downloads are removed by hand only.
"""

import os
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .errors import InvalidValue
from .io.folders import free_bytes

GIGABYTE = 10**9
BUDGET = 20 * GIGABYTE
SHARE = 0.25  # of the disk that is free or taken by the cache: the most, on a small one
VARIABLE = "SCANTLING_CACHE_BUDGET"
UNITS = {"": GIGABYTE, "GB": GIGABYTE, "MB": 10**6, "kB": 1000, "B": 1}
DOWNLOADS = "downloads"
# Every kind: what it is, and the paths in a cache folder that are of it. A folder of the user's own
# may be named as the cache: nothing else in it is ever touched.
KINDS = {
    DOWNLOADS: ("official weights; removed by name only", None),
    "converted": (
        "models converted for another runtime",
        re.compile(r"engines/[0-9a-f]{32}\.[\w.]+"),
    ),
    "compiled": (
        "models that OpenVINO compiled, one an input size",
        re.compile(r"openvino/\d+\.blob"),
    ),
    "images": ("decoded training images", re.compile(r"images/[0-9a-f]{24}\.(pixels|signatures)")),
    "notes": (
        "what is known of images and of this processor",
        re.compile(r"image-facts-\d+\.sqlite(-\w+)?|precision\.json"),
    ),
}
FOLDERS = ("", "engines", "openvino", "images")


@dataclass(frozen=True)
class CacheEntry:
    """Files in the cache that belong together.

    Args:
        kind: key of `KINDS`.
        files: all of them.
        size: bytes on disk.
        used: seconds since the epoch when any of them was last written or read, as far as the file
            system tells: some note no more than one reading a day.
    """

    kind: str
    files: tuple[Path, ...]
    size: int
    used: float


def list_entries(folder: Path, downloads: Collection[str] = ()) -> list[CacheEntry]:
    """Everything in a cache folder, what was used longest ago first; empty where there is none.

    Args:
        folder: of the cache.
        downloads: names of the files that may have been downloaded into it.
    """
    groups: dict[tuple[str, str], list[Path]] = {}
    for inner in FOLDERS:
        for path in _list_files(folder / inner):
            name = path.relative_to(folder).as_posix()
            kind = _kind_of(name, downloads)
            if kind is not None:
                stem = name if kind == DOWNLOADS else name.partition(".")[0]
                groups.setdefault((kind, stem), []).append(path)
    found = []
    for (kind, _), files in groups.items():
        states = list(_states(files))
        if states:
            size = sum(_bytes_on_disk(state) for state in states)
            used = max(max(state.st_atime, state.st_mtime) for state in states)
            found.append(CacheEntry(kind, tuple(files), size, used))
    return sorted(found, key=lambda entry: entry.used)


def make_room(folder: Path, needed: int = 0, *, keep: Collection[Path] = ()) -> None:
    """Remove what was used longest ago until the cache keeps to its budget.

    Args:
        folder: of the cache.
        needed: bytes that are about to be written there.
        keep: files that stay, with those that belong to them.

    Raises:
        InvalidValue: the environment names a budget that is none.
    """
    entries = list_entries(folder)
    over = needed + sum(entry.size for entry in entries) - find_budget(folder)
    for entry in entries:
        if over <= 0:
            return
        if entry.kind == "notes" or not set(keep).isdisjoint(entry.files):
            continue
        over -= remove([entry])


def remove(entries: Collection[CacheEntry]) -> int:
    """Remove entries, as far as the system lets us; the bytes that this frees."""
    freed = 0
    for entry in entries:
        for path in entry.files:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        if not any(path.exists() for path in entry.files):
            freed += entry.size
    return freed


def find_budget(folder: Path) -> int:
    """Bytes that the cache may take, downloads aside: as the environment says, else 20 GB.

    It is less where that would be more than a quarter of what the disk has for it.

    Raises:
        InvalidValue: the environment variable is no size.
    """
    asked = os.environ.get(VARIABLE, "").strip()
    if asked:
        found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?([A-Za-z]{0,2})", asked)
        unit = {name.lower(): size for name, size in UNITS.items()}
        if not found or found[2].lower() not in unit:
            raise InvalidValue(VARIABLE, asked, "a number of gigabytes such as 5, or 500MB")
        return int(float(found[1]) * unit[found[2].lower()])
    taken = sum(entry.size for entry in list_entries(folder))
    free = free_bytes(folder)
    return BUDGET if free is None else min(BUDGET, int(SHARE * (free + taken)))


def can_keep(folder: Path, needed: int = 0) -> bool:
    """Whether a folder can be written to, and the disk has that many bytes for it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    free = free_bytes(folder)
    return os.access(folder, os.W_OK | os.X_OK) and (free is None or free >= needed)


def _kind_of(name: str, downloads: Collection[str]) -> str | None:
    """The kind of a file by its path in the cache; None where it is not ours."""
    if name.removesuffix(".part").removesuffix(".lock") in downloads:
        return DOWNLOADS
    return next((kind for kind, (_, path) in KINDS.items() if path and path.fullmatch(name)), None)


def _list_files(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_file()]
    except OSError:
        return []


def _states(files: list[Path]) -> Iterator[os.stat_result]:
    for path in files:
        with suppress(OSError):  # another process removed it
            yield path.stat()


def _bytes_on_disk(state: os.stat_result) -> int:
    """A file with holes takes less than its length."""
    blocks = getattr(state, "st_blocks", None)
    return state.st_size if blocks is None else min(state.st_size, blocks * 512)
