"""What the user's sources stand for: images, videos, folders, patterns, lists, URLs, cameras."""

import glob
import os
import re
import stat
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal
from urllib.parse import urlsplit

import numpy as np

from ..io import OUTPUT_MARK, describe_mode
from . import heic
from .fetch import without_password
from .headers import IMAGE_SUFFIXES, is_image_suffix
from .read import is_pil_image

# In a stream of locations: finding the next may take for ever, so hand on what has been read.
PAUSE = None

VIDEO_SUFFIXES = frozenset(
    (
        ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv",
        ".ts", ".mts", ".m2ts", ".3gp", ".ogv", ".mjpg", ".mjpeg", ".h264", ".264", ".hevc",
        ".265",
    )
)  # fmt: skip
# Images that are not read, by suffix: what to call them where a folder is read without them.
UNREAD_IMAGES = {
    **dict.fromkeys(heic.SUFFIXES, "HEIC"), ".jp2": "JP2", ".j2k": "JP2", ".jpf": "JP2",
    ".jpx": "JP2", ".j2c": "JP2", ".jxl": "JPEG XL", ".jxr": "JPEG XR", ".dng": "raw (DNG)",
    ".cr2": "raw (CR2)", ".cr3": "raw (CR3)", ".nef": "raw (NEF)", ".arw": "raw (ARW)",
    ".orf": "raw (ORF)", ".rw2": "raw (RW2)", ".raf": "raw (RAF)", ".raw": "raw", ".psd": "PSD",
    ".svg": "SVG", ".pdf": "PDF", ".exr": "EXR", ".hdr": "HDR", ".tga": "TGA", ".ico": "ICO",
    ".dcm": "DICOM", ".dicom": "DICOM", ".fits": "FITS", ".nii": "NIfTI", ".npy": "NumPy",
}  # fmt: skip
STREAM_SUFFIXES = VIDEO_SUFFIXES | {".m3u8", ".mpd"}
STREAM_SCHEMES = frozenset(("rtsp", "rtsps", "rtmp", "rtmps", "rtmpt", "srt", "udp"))
WEB_SCHEMES = frozenset(("http", "https"))
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")  # two letters at least: C:// is a drive


MAX_LINE = 32_768  # bytes of one line of a list: far above any path, far below any memory
MAX_NEIGHBOURS = 1_000  # files looked through for a name like the one that is missing


@dataclass(frozen=True, eq=False)
class Location:
    """One thing to open, and what to call it.

    `value` is the path, the URL, the number of the camera, the image itself, or the problem; of a
    note what was left out of a folder, and nothing is to open.
    """

    kind: Literal["image", "video", "url", "stream", "camera", "memory", "problem", "note"]
    name: str
    value: Any


def locate_url(url: str) -> Location:
    """The image or stream that a URL stands for, by its scheme and suffix.

    Args:
        url: text that `SCHEME` matches.
    """
    name, scheme = without_password(url), url.partition(":")[0].lower()
    if scheme in STREAM_SCHEMES:
        return Location("stream", name, url)
    if scheme not in WEB_SCHEMES:
        expected = ", ".join(sorted(WEB_SCHEMES | STREAM_SCHEMES))
        hint = "; for a file, give its path" if scheme == "file" else ""
        return Location("problem", name, f"{scheme}:// is not read; expected {expected}{hint}")
    try:
        suffix = PurePosixPath(urlsplit(url).path).suffix.lower()
    except ValueError as error:
        return Location("problem", name, f"is no URL: {error}")
    return Location("stream" if suffix in STREAM_SUFFIXES else "url", name, url)


def kind_by_suffix(path: str) -> Literal["image", "video"] | None:
    """Whether a file counts as an image or a video when a folder or a pattern is read."""
    suffix = PurePosixPath(path).suffix.lower()
    if is_image_suffix(suffix):
        return "image"
    return "video" if suffix in VIDEO_SUFFIXES else None


def describe_left_out(names: Iterable[str]) -> str:
    """`2 files were left out: 1 HEIC, 1 JP2`, of names of images that are not read; else empty."""
    suffixes = (PurePosixPath(name).suffix.lower() for name in names)
    unread = (one for one in suffixes if one in UNREAD_IMAGES and not is_image_suffix(one))
    kinds = Counter(UNREAD_IMAGES[suffix] for suffix in unread)
    count = sum(kinds.values())
    what = "1 file was" if count == 1 else f"{count:,} files were"
    shown = ", ".join(f"{number:,} {kind}" for kind, number in sorted(kinds.items()))
    advice = "convert them to JPEG or PNG"
    advice += f" (HEIC is read after: {heic.ADVICE})" if "HEIC" in kinds else ""
    return f"{what} left out: {shown}; {advice}" if count else ""


def describe_suffixes() -> str:
    """Which suffixes count, for an error."""
    images, videos = " ".join(sorted(IMAGE_SUFFIXES)), " ".join(sorted(VIDEO_SUFFIXES))
    return f"images end in {images}, videos in {videos}"


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
    elif isinstance(source, str) and source.isascii() and source.isdecimal() and not _there(source):
        yield _locate_camera(int(source))
    elif isinstance(source, int) and not isinstance(source, bool):
        yield _locate_camera(source)
    elif isinstance(source, str) and SCHEME.match(source):
        yield locate_url(source)
    elif isinstance(source, (str, os.PathLike)):
        yield from locate_path(os.fsdecode(source))
    else:
        yield Location("memory", f"image {number}", source)


def _there(path: str) -> bool:
    """Whether a file or folder has a name that may be the number of a camera."""
    return os.path.lexists(path)


def _locate_camera(number: int) -> Location:
    if not 0 <= number < 2**31:
        return Location("problem", f"camera {number}", "is no camera; the first is 0")
    return Location("camera", f"camera {number}", number)


def _locate_standard_input() -> Iterator[Location | None]:
    if sys.stdin is None:
        yield Location("problem", "standard input", "is closed; expected paths, one a line")
        return
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
        yield Location("problem", path, f"is a {describe_mode(mode)}, not a file")


def _locate_folder(folder: str) -> Iterator[Location]:
    """Images and videos in a folder and below, sorted, without hidden ones and older results."""
    found, others = False, list[str]()
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
                others.append(file)
    for error in failed:
        problem = f"cannot be read: {describe_failure(error)}"
        yield Location("problem", str(error.filename or folder), problem)
    if not found and not failed:
        what = "has no files"
        if others:
            left_out = describe_left_out(others)
            what = f"none of its {len(others)} files is an image or a video"
            what += f" ({left_out})" if left_out else ""
        yield Location("problem", folder, f"{what}; {describe_suffixes()}")
    elif left_out := describe_left_out(others):
        yield Location("note", folder, left_out)


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
    if found and (left_out := describe_left_out(matches)):
        yield Location("note", pattern, left_out)
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
