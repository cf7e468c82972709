"""What is asked of the operating system: files written whole, the cache folder, processor cores.

Also what text files look like that come from elsewhere.
"""

import errno
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from itertools import count
from math import ceil
from pathlib import Path, PurePosixPath
from secrets import token_hex

from ..errors import CannotWrite

# What is found in place of a text file or of weights, by its first bytes, and what to do about it.
FOREIGN: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"version https://git-lfs"), "a Git LFS pointer; run `git lfs pull`"),
    (
        re.compile(rb"(\xef\xbb\xbf)?\s*<(\?xml|!doctype|html|head|body)", re.IGNORECASE),
        "a web page; download the file itself",
    ),
    (
        re.compile(rb"(404|403|429|50\d)\b[: ]|Not Found\b|Access Denied\b"),
        "the answer of a web server that has no such file; look for its address again",
    ),
    (re.compile(rb"\x1f\x8b"), "gzip; unpack it"),
    (
        re.compile(rb"PK\x03\x04"),
        "a ZIP archive, or a PyTorch checkpoint; unpack it, or call it .pt",
    ),
    (re.compile(rb"\xff\xfe|\xfe\xff"), "UTF-16 text; save it as UTF-8"),
)

WEB_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype\s+html|html|head|body)\b", re.IGNORECASE)

OUTPUT_MARK = ".scantling-output"  # a file in folders of results
CONTROL_GROUPS = Path("/sys/fs/cgroup")  # where Linux shows the limits of containers
OWN_GROUPS = Path("/proc/self/cgroup")

# Temporary files and folders, and locks.
LEFT = re.compile(r"\..*-[0-9a-f]{8}\.(part(\.\w+)?|partial)|(\..*)?\.scantling-lock")
_cleared: set[Path] = set()  # folders in which this process looked for those of killed ones


def default_cache() -> Path:
    """Where downloads and caches are kept unless another folder is named; it may not exist yet.

    It is what the environment variable `SCANTLING_CACHE` says, else the usual one of the system.
    """
    if os.environ.get("SCANTLING_CACHE"):
        return Path(os.environ["SCANTLING_CACHE"])
    home = Path.home()
    if sys.platform == "win32":
        return home / "AppData" / "Local" / "scantling" / "Cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "scantling"
    return home / ".cache" / "scantling"


def find_foreign(data: bytes, *, may_be_xml: bool = False) -> str | None:
    """What a file is in place of text or weights, and what to do about it; None if it may be them.

    Args:
        data: its first bytes, or all of it.
        may_be_xml: whether XML is no web page unless it says that it is HTML.

    >>> find_foreign(b"version https://git-lfs.github.com/spec/v1")
    'a Git LFS pointer; run `git lfs pull`'
    """
    if may_be_xml and data.lstrip()[:1] == b"<" and not WEB_PAGE.match(data):
        return None
    return next((what for pattern, what in FOREIGN if pattern.match(data)), None)


def find_foreign_file(path: Path, *, may_be_xml: bool = False) -> str | None:
    """As `find_foreign`, of a file that turned out not to be what it is called; for its error."""
    try:
        with open_regular(path) as file:
            return find_foreign(file.read(512), may_be_xml=may_be_xml)
    except OSError:
        return None


def regular_size(path: str | os.PathLike[str]) -> int:
    """The size in bytes of a file; OSError for a pipe or a device, which may make one wait."""
    try:
        status = Path(path).stat()
    except ValueError as error:  # a zero byte in it, or half a character
        raise OSError(errno.EINVAL, "is no name that a file can have") from error
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, f"is a {describe_mode(status.st_mode)}, not a file")
    return status.st_size


def open_regular(path: Path) -> BufferedReader:
    """A file to be read; raises as `regular_size`."""
    regular_size(path)
    return path.open("rb")


def describe_mode(mode: int) -> str:
    """What kind of thing a path is, from `os.stat(path).st_mode`."""
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
    return kinds.get(stat.S_IFMT(mode), "device")


def split_lines(text: str) -> list[str]:
    """The lines of a text, whose ends may be carriage returns alone, as on old Macs."""
    return text.split("\n" if "\n" in text.rstrip() or "\r" not in text else "\r")


def count_cores() -> int:
    """Processor cores that this process may use, by its affinity and by the quota of its container.

    A quota of a core and a half counts as two: a thread more is throttled, one less wastes half a
    core.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min([cores, *map(ceil, _read_quotas())]))


def find_control_groups(controller: str) -> Iterator[Path]:
    """Folders of the control groups that limit this process, its own first, then those around it.

    Those of both versions; any of them may not exist. See cgroups(7).

    Args:
        controller: `cpu` or `memory`.
    """
    for line in read_system_file(OWN_GROUPS).splitlines() or ["0::/", f"1:{controller}:/"]:
        names, _, path = line.partition(":")[2].partition(":")
        if names and controller not in names.split(","):
            continue
        # inside a container its own group is mounted at the top, whatever its path outside is
        own = PurePosixPath(*(part for part in PurePosixPath(path).parts if part not in "/.."))
        for root in [names, controller] if names else ["", "unified"]:
            yield from (CONTROL_GROUPS / root / group for group in (own, *own.parents))


def read_system_file(path: Path) -> str:
    """Text of a file of the system; empty where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _read_quotas() -> Iterator[float]:
    """Cores that each control group grants, of those that set a quota."""
    for group in find_control_groups("cpu"):
        told = read_system_file(group / "cpu.max").split() or [
            read_system_file(group / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")
        ]
        with suppress(ValueError, ZeroDivisionError, IndexError):  # "max" is no number
            if int(told[0]) > 0:
                yield int(told[0]) / int(told[1])


def numbered(name: str, *, start: int = 1) -> Iterator[str]:
    """`name`, `name-2`, `name-3`, …"""
    return (name if number == 1 else f"{name}-{number}" for number in count(start))


def make_folder(folder: Path) -> None:
    """Make a folder, and those around it, unless it is there.

    Raises:
        CannotWrite: it cannot be made, or there is a file of that name.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)


def make_output_folder(folder: Path) -> None:
    """Make a folder for pictures of results; mark it if it is empty: else it may be the user's own.

    Predicting a folder does not go into marked ones, where it may be writing.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not any(folder.iterdir()):
            (folder / OUTPUT_MARK).touch()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Around what writes a file or a folder: what the system says against it, with its name.

    Raises:
        CannotWrite: it cannot be written: why, and what to do. Whatever concerns another file is
            raised as it is.
    """
    try:
        yield
    except OSError as error:
        parts = Path(os.fsdecode(error.filename or "")).parts
        if isinstance(error, CannotWrite) and not any(map(LEFT.fullmatch, parts)):
            raise  # it names what the user knows, no temporary file
        folder = path.absolute().parent
        named = [error.filename, error.filename2]
        paths = [Path(os.fsdecode(name)).absolute() for name in named if name]
        ours = [one for one in paths if folder in (one, *one.parents) or one in folder.parents]
        if (paths and not ours) or not error.errno or isinstance(error, ConnectionError):
            raise
        from .folders import explain

        raise CannotWrite(str(path), *explain(path, error), errno=error.errno) from error


@contextmanager
def atomic_write(
    path: Path,
    *,
    overwrite: bool = True,
    sync: bool = True,
    tell: Callable[[Path], object] = lambda _: None,
) -> Iterator[Path]:
    """A temporary file to fill, which becomes `path` on success and is removed on failure.

    Nobody ever sees half a file; a full disk or a killed process leaves the old one. What killed
    processes left in the folder is removed, see `remove_left`.

    Args:
        path: of the file, in a folder that exists.
        overwrite: False: a file that exists stays, and the new one gets a number, whoever else is
            writing files of this name at the same moment.
        sync: wait for the disk, so that even a power cut leaves the old file or the new one; False
            for files that are made by the thousand and can be made again.
        tell: called with its name in the end.

    Raises:
        CannotWrite: the file cannot be written.
    """
    with writing(path):
        remove_left(path.parent)
        part, held = create_part(path)
        try:
            mode = stat.S_IMODE(part.stat().st_mode)
            yield part
            part.chmod(mode)  # a library may have made it for its owner alone
            if sync:
                from .folders import sync_file

                sync_file(part)
            if overwrite:
                part.replace(path)
                tell(path)
            else:
                tell(next(other for other in numbered_paths(path) if _claim(part, other)))
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
        finally:
            with suppress(OSError):
                os.close(held)


def write_file(
    path: Path, content: bytes | str, *, overwrite: bool = True, sync: bool = True
) -> Path:
    """Write bytes, or text as UTF-8, into a file as `atomic_write` does; where it is."""
    names: list[Path] = []
    with atomic_write(path, overwrite=overwrite, sync=sync, tell=names.append) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)
    return names[0]


def create_part(path: Path) -> tuple[Path, int]:
    """Make an empty file beside `path` to fill, and hold it: see `remove_left`.

    Returns:
        The file, of the same suffix; and its descriptor, which is to be closed when it has got its
        name or is removed.

    Raises:
        OSError: it cannot be made.
    """
    while True:
        part = path.with_name(f".{path.stem[:40]}-{token_hex(4)}.part{path.suffix}")
        held = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        if os.name == "nt":  # where an open file cannot be renamed, nor one in use removed
            os.close(held)
            return part, -1
        if lock(held) is not False and part.exists():  # else it was just taken for one left behind
            return part, held
        os.close(held)


def remove_left(folder: Path) -> None:
    """Remove what killed processes were writing in a folder; looked for once a process.

    Whoever writes holds a lock, which goes with its process.
    """
    if folder in _cleared:
        return
    _cleared.add(folder)
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if LEFT.fullmatch(entry.name) and not entry.is_symlink():
                from .folders import remove_unheld

                with suppress(OSError):
                    remove_unheld(Path(entry.path))


def lock(descriptor: int) -> bool | None:
    """Lock an open file or folder until its descriptor is closed or the process ends.

    Returns:
        False where somebody else has locked it; None where the file system knows no locks.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def numbered_paths(path: Path) -> Iterator[Path]:
    """`path`, `name-2.jpg`, `name-3.jpg`, …"""
    return (path.with_stem(stem) for stem in numbered(path.stem))


def _claim(part: Path, path: Path) -> bool:
    """Give a finished file its name; False where there is a file of that name."""
    try:
        os.link(part, path)
        part.unlink()
    except FileExistsError:
        return False
    except OSError:
        from .folders import claim_without_links

        return claim_without_links(part, path)
    return True
