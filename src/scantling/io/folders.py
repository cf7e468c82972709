"""Folders and sets of files that appear together; a lock on what only one process may write."""

import errno
import os
import shutil
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Self

from ..errors import InUse
from . import lock, numbered, remove_left, writing

_ELSEWHERE = "Name another folder, or change its permissions"
WHY = {
    errno.ENOSPC: (
        "there is no room left on its disk",
        "Free some there (`scantling cache` shows what can be made again), or name another folder",
    ),
    errno.EDQUOT: ("your quota on its disk is used up", "Free some there, or name another folder"),
    errno.EACCES: ("you have no permission to write there", _ELSEWHERE),
    errno.EPERM: ("you have no permission to write there", _ELSEWHERE),
    errno.EROFS: ("its disk is read-only", "Name another folder"),
    errno.ENOENT: ("there is no such folder", "Make it first, or correct the path"),
    errno.ENOTDIR: ("a part of its path is a file, no folder", "Correct the path"),
    errno.EEXIST: ("there is something of that name already", "Name another place"),
    errno.ENOTEMPTY: ("its folder is not empty", "Name another place"),
    errno.EFBIG: ("it is larger than a file may be there", "Name another folder"),
    errno.EISDIR: ("there is a folder of that name", "Name another place"),
    errno.ENAMETOOLONG: ("its name is too long", "Give it a shorter one"),
}


def new_run_folder(base: Path) -> Path:
    """Make and return `base`, or the first of `base-2`, `base-3`, … that does not exist yet."""
    with writing(base):
        base.parent.mkdir(parents=True, exist_ok=True)
        for name in numbered(base.name):
            with suppress(FileExistsError):
                (base.parent / name).mkdir()
                break
    return base.parent / name


@contextmanager
def atomic_files(path: Path, others: Sequence[str] = ()) -> Iterator[Path]:
    """A draft of `path` in a temporary folder beside it, which takes its place on success.

    The draft is always called `model`: some formats write their own name into the file, and the
    same model is to make the same file.

    Of several files that belong together the older ones and the new ones are never mixed: `path`
    is missing for the moment in which the others are replaced.

    Args:
        path: of the file, in a folder that exists.
        others: suffixes of files that are written beside the draft, and move before it.

    Raises:
        CannotWrite: a file cannot be written.
    """
    with temporary_folder(path) as folder, writing(path):
        draft = folder / f"model{path.suffix}"
        yield draft
        ends = (*others, path.suffix)
        for end in ends:
            sync_file(draft.with_suffix(end))
        if others:
            path.unlink(missing_ok=True)
        for end in ends:
            draft.with_suffix(end).replace(path.with_suffix(end))


def lock_file(path: Path) -> "Lock":
    """Lock a file, which need not be there, against other processes that write it so.

    Raises:
        InUse: another process is writing it.
    """
    return Lock(path.with_name(f".{path.name[:100]}.scantling-lock"), path)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder to fill, which becomes `path` on success and is removed on failure.

    Args:
        path: of the folder, which must not be there, or be empty.

    Raises:
        CannotWrite: it cannot be made, or somebody filled `path` meanwhile.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(path) as part, writing(path):
        yield part
        if path.is_dir():
            path.rmdir()
        part.rename(path)


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """A folder beside `path` that is removed in the end, or when its process was killed.

    It is on the disk of `path`, so that what is made in it gets there by a rename or a link.

    Raises:
        CannotWrite: it cannot be made.
    """
    with writing(path):
        remove_left(path.parent)
        part = path.with_name(f".{path.name[:40]}-{token_hex(4)}.partial")
        part.mkdir()
    held = -1 if sys.platform == "win32" else os.open(part, os.O_RDONLY)
    try:
        lock(held)
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)
        with suppress(OSError):
            os.close(held)


class Lock:
    """A lock that one process holds until it lets go or ends, however it ends; a context manager.

    Where the file system knows no locks, or nothing can be written, there is none.

    Args:
        path: of the lock file, which is removed in the end.
        what: that is locked, for the message.

    Raises:
        InUse: somebody holds it; says who.
    """

    def __init__(self, path: Path, what: Path) -> None:
        self._path = path
        self._held: int | None = None
        while self._held is None:
            try:
                held = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError:  # whatever is written first will say why
                return
            locked = lock(held)
            if locked is False:
                holder = os.read(held, 200).decode("utf-8", "replace")
                os.close(held)
                raise InUse(str(what), holder.strip())
            if _is_open_at(held, path):
                self._held = held
            else:  # whoever had it has just removed it
                os.close(held)
        with suppress(OSError):  # a full disk: then it does not say whose it is
            os.ftruncate(self._held, 0)
            os.write(self._held, f"process {os.getpid()} on {socket.gethostname()}\n".encode())

    def release(self) -> None:
        """Let go."""
        held, self._held = self._held, None
        if held is not None:
            with suppress(OSError):
                self._path.unlink()
            os.close(held)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def __del__(self) -> None:
        self.release()


def _is_open_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one at a path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def remove_unheld(path: Path) -> None:
    """Remove a temporary file or folder unless somebody holds it."""
    held = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | getattr(os, "O_NONBLOCK", 0))
    try:
        if lock(held):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    finally:
        os.close(held)


def claim_without_links(part: Path, path: Path) -> bool:
    """Give a finished file its name where there are no hard links: an empty file takes it first."""
    try:
        path.open("xb").close()
    except FileExistsError:
        return False
    try:
        part.replace(path)
    except BaseException:
        path.unlink()
        raise
    return True


def explain(path: Path, error: OSError) -> tuple[str, str]:
    """Why a file cannot be written, and what to do."""
    usual = error.strerror or str(error), "Check the folder and its disk"
    problem, fix = WHY.get(error.errno or 0, usual)
    free = free_bytes(path.parent)
    if error.errno == errno.ENOSPC and free is not None:
        problem = f"{problem} ({free / 1e6:,.1f} MB are free)"
    return problem, fix


def free_bytes(folder: Path) -> int | None:
    """Bytes that are free on the disk of a folder, which may not exist yet; None if unknown."""
    for place in (folder, *folder.absolute().parents):
        with suppress(OSError):
            return shutil.disk_usage(place).free
    return None


def sync_file(path: Path) -> None:
    """Wait until the disk has a file."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
