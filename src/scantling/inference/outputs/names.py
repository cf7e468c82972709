"""Where results go: folders and file names that collide with nothing and overwrite nothing."""

import re
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from ...images import Frame
from ...io import numbered

LONGEST = 50  # letters; file systems allow 255 bytes, a letter takes up to four
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # on Windows


def safe_name(text: str) -> str:
    """Untrusted text → a name for one file: no separators, no dots in front, not too long.

    >>> safe_name("../../etc/passwd")
    'etc_passwd'
    """
    name = re.sub(r"[^\w.-]+", "_", text).strip("._")[:LONGEST]
    return f"_{name}" if not name or RESERVED.fullmatch(name) else name


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
    """Names the files of each frame: `dog` for an image, `road-000012` for a frame of a video."""

    def __init__(self) -> None:
        self._names = UniqueNames()
        self._video: tuple[str, int, str] | None = None  # source, last frame, its name

    def source_name(self, frame: Frame) -> str:
        """A name for the image, or for the whole video; call it once for each frame, in order."""
        if frame.video is None:
            self._video = None
            return self._names.take(_stem(frame.name))
        if self._video and self._video[0] == frame.name and self._video[1] < frame.index:
            name = self._video[2]
        else:
            name = self._names.take(_stem(frame.name))
        self._video = (frame.name, frame.index, name)
        return name


def frame_name(name: str, frame: Frame) -> str:
    """A file name without suffix: `dog`, or `road-000012` for a frame of the video `road`."""
    return name if frame.video is None else f"{name}-{frame.index:06d}"


def _stem(source: str) -> str:
    """The last part of a path or an address, without suffix, user, password or query."""
    if "://" not in source:
        return PurePosixPath(source.replace("\\", "/")).stem
    address = urlsplit(source)
    return PurePosixPath(address.path).stem or address.hostname or "stream"
