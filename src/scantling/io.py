"""What is asked of the operating system: files written whole, the cache folder, processor cores.

Also what text files look like that come from elsewhere.
"""

import errno
import os
import re
import shutil
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BufferedReader
from itertools import count
from math import ceil
from pathlib import Path, PurePosixPath
from secrets import token_hex
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

LONGEST_NAME = 50  # letters; file systems allow 255 bytes, a letter takes up to four
RESERVED_NAMES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # on Windows

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


def new_run_folder(base: Path) -> Path:
    """Make and return `base`, or the first of `base-2`, `base-3`, … that does not exist yet."""
    base.parent.mkdir(parents=True, exist_ok=True)
    for name in numbered(base.name):
        with suppress(FileExistsError):
            (base.parent / name).mkdir()
            break
    return base.parent / name


def make_output_folder(folder: Path) -> None:
    """Make a folder for pictures of results; mark it if it is empty: else it may be the user's own.

    Predicting a folder does not go into marked ones, where it may be writing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not any(folder.iterdir()):
        (folder / OUTPUT_MARK).touch()


def unused(path: Path) -> Path:
    """`path`, or the first of `name-2.jpg`, `name-3.jpg`, … that does not exist yet."""
    others = (path.with_stem(stem) for stem in numbered(path.stem))
    return next(other for other in others if not other.exists())


def safe_name(text: str) -> str:
    """Untrusted text → a name for one file: no separators, no dots in front, not too long.

    >>> safe_name("../../etc/passwd")
    'etc_passwd'
    """
    name = re.sub(r"[^\w.-]+", "_", text).strip("._")[:LONGEST_NAME]
    return f"_{name}" if not name or RESERVED_NAMES.fullmatch(name) else name


class UniqueNames:
    """Gives every text a file name that no other text got, whatever the file system's case rules.

    Keeps one short string per name given.
    """

    def __init__(self) -> None:
        self._given: dict[str, int] = {}  # how often, by name in lower case

    def take(self, text: str) -> str:
        """A safe name for `text` that was not given before: `dog`, then `dog-2`."""
        name = safe_name(text)
        times = self._given.get(name.lower(), 0)
        free = next(
            other for other in numbered(name, start=times + 1) if other.lower() not in self._given
        )
        self._given[name.lower()] = times + 1
        self._given.setdefault(free.lower(), 1)
        return free


class FrameNames:
    """Names images and videos: `dog` for each image, `road` for all frames of one video."""

    def __init__(self) -> None:
        self._names = UniqueNames()
        self._video: tuple[str, int, str] | None = None  # source, last frame, its name

    def take(self, source: str, index: int | None) -> str:
        """A name for an image, or for a whole video; call it once for each frame, in order.

        Args:
            source: path, URL or camera.
            index: number of the frame in its video; None for an image.
        """
        video, self._video = self._video, None
        if video and index is not None and video[0] == source and video[1] < index:
            name = video[2]
        else:
            name = self._names.take(_stem(source))
        if index is not None:
            self._video = (source, index, name)
        return name


def _stem(source: str) -> str:
    """The last part of a path or an address, without suffix, user, password or query."""
    if "://" not in source:
        return PurePosixPath(source.replace("\\", "/")).stem
    address = urlsplit(source)
    return PurePosixPath(address.path).stem or address.hostname or "stream"


@contextmanager
def atomic_write(path: Path, *, overwrite: bool = True, sync: bool = True) -> Iterator[Path]:
    """A temporary file to fill, which becomes `path` on success and is removed on failure.

    Nobody ever sees half a file; a full disk or a killed process leaves the old one.

    Args:
        path: of the file, in a folder that exists.
        overwrite: False: a file that exists stays, and the new one gets a number.
        sync: wait for the disk, so that even a power cut leaves the old file or the new one; False
            for files that are made by the thousand and can be made again.

    Raises:
        OSError: the file cannot be written.
    """
    part = path.with_name(f".{path.stem[:40]}-{token_hex(4)}.part{path.suffix}")
    with part.open("xb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    try:
        yield part
        part.chmod(mode)  # a library may have made it for its owner alone
        if sync:
            _sync(part)
        part.replace(path if overwrite else unused(path))
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def write_file(
    path: Path, content: bytes | str, *, overwrite: bool = True, sync: bool = True
) -> None:
    """Write bytes, or text as UTF-8, into a file as `atomic_write` does."""
    with atomic_write(path, overwrite=overwrite, sync=sync) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def atomic_files(path: Path, others: Sequence[str] = ()) -> Iterator[Path]:
    """A draft of `path` in a temporary folder beside it, which takes its place on success.

    The draft is always called `model`: some formats write their own name into the file, and the
    same model is to make the same file.

    Args:
        path: of the file, in a folder that exists.
        others: suffixes of files that are written beside the draft, and move before it.

    Raises:
        OSError: a file cannot be written.
    """
    with TemporaryDirectory(
        prefix=".scantling-", dir=path.parent, ignore_cleanup_errors=True
    ) as folder:
        draft = Path(folder) / f"model{path.suffix}"
        yield draft
        files = [(draft.with_suffix(end), path.with_suffix(end)) for end in (*others, path.suffix)]
        for part, _ in files:
            _sync(part)
        for part, target in files:
            part.replace(target)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder to fill, which becomes `path` on success and is removed on failure.

    Args:
        path: of the folder, which must not be there, or be empty.

    Raises:
        OSError: it cannot be made, or somebody filled `path` meanwhile.
    """
    part = path.with_name(f".{path.name[:40]}-{token_hex(4)}.partial")
    part.mkdir(parents=True)
    try:
        yield part
        if path.is_dir():
            path.rmdir()
        part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)  # is there only if something went wrong


def _sync(path: Path) -> None:
    """Wait until the disk has a file."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
