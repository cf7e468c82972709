"""Files and folders that the package writes, and where it keeps what can be made again."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path


def default_cache() -> Path:
    """Where downloads and caches are kept unless another folder is named; it may not exist yet."""
    home = Path.home()
    if sys.platform == "win32":
        return home / "AppData" / "Local" / "scantling" / "Cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "scantling"
    return home / ".cache" / "scantling"


def numbered(name: str, *, start: int = 1) -> Iterator[str]:
    """`name`, `name-2`, `name-3`, …"""
    return (name if number == 1 else f"{name}-{number}" for number in count(start))


def new_run_folder(base: Path) -> Path:
    """Make and return `base`, or the first of `base-2`, `base-3`, … that does not exist yet."""
    base.parent.mkdir(parents=True, exist_ok=True)
    for name in numbered(base.name):
        with suppress(FileExistsError):
            (base.parent / name).mkdir()
            break
    return base.parent / name


def unused(path: Path) -> Path:
    """`path`, or the first of `name-2.jpg`, `name-3.jpg`, … that does not exist yet."""
    others = (path.with_stem(stem) for stem in numbered(path.stem))
    return next(other for other in others if not other.exists())


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it on success and removed on failure.

    Nobody ever sees half a file, and a file that exists already stays: the new one gets a number.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = unused(path.with_suffix(f".part{path.suffix}"))
    try:
        yield part
        part.replace(unused(path))
    except BaseException:
        part.unlink(missing_ok=True)
        raise
