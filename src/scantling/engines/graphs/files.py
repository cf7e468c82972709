"""Graphs as files that appear whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import InvalidExport
from ...io import atomic_files


@contextmanager
def replace_files(path: Path, *, suffix: str, others: tuple[str, ...] = ()) -> Iterator[Path]:
    """A draft to write, which takes the place of `path` on success: see `io.atomic_files`.

    Args:
        path: where the file is to be.
        suffix: that it must have.
        others: suffixes of the files that are written beside it, which appear before it.

    Raises:
        InvalidExport: the path has another suffix, or nothing can be written there.
    """
    if path.suffix != suffix:
        raise InvalidExport(
            str(path), f"a file of this kind cannot end in {path.suffix!r}", f"Use {suffix}"
        )
    try:
        with atomic_files(path, others) as draft:
            yield draft
    except OSError as error:
        problem = f"it cannot be written ({error.strerror or error})"
        raise InvalidExport(str(path), problem, "Name a folder that exists and has room") from error
