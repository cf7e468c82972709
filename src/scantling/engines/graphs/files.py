"""Files that appear whole or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from ...errors import InvalidExport


@contextmanager
def replace_files(path: Path, *, suffix: str, others: tuple[str, ...] = ()) -> Iterator[Path]:
    """A draft that takes the place of `path` once it is written, and files that go with it.

    The draft is called `model` in a folder of its own beside `path`: some formats write their own
    name into the file, and the same graph is to make the same file.

    Args:
        path: where the file is to be.
        suffix: that it must have.
        others: suffixes of the files that are written beside it, in the order in which they are
            to appear, before it.

    Raises:
        InvalidExport: the path has another suffix, or nothing can be written there.
    """
    if path.suffix != suffix:
        raise InvalidExport(
            str(path), f"a file of this kind cannot end in {path.suffix!r}", f"Use {suffix}"
        )
    try:
        folder = Path(mkdtemp(prefix=".scantling-", dir=path.parent))
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        draft = folder / f"model{suffix}"
        yield draft
        for other in (*others, suffix):
            draft.with_suffix(other).replace(path.with_suffix(other))
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _cannot_write(path: Path, error: OSError) -> InvalidExport:
    problem = f"it cannot be written ({error.strerror or error})"
    return InvalidExport(str(path), problem, "Name a folder that exists and has room")
