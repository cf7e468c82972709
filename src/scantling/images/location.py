"""One thing to open, which suffixes and schemes say what it is, and what a URL stands for."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal
from urllib.parse import urlsplit

from .fetch import without_password

IMAGE_SUFFIXES = frozenset(
    (
        ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".webp", ".gif", ".tif",
        ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".avif",
    )
)  # fmt: skip
VIDEO_SUFFIXES = frozenset(
    (
        ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv",
        ".ts", ".mts", ".m2ts", ".3gp", ".ogv", ".mjpg", ".mjpeg", ".h264", ".264", ".hevc",
        ".265",
    )
)  # fmt: skip
STREAM_SUFFIXES = VIDEO_SUFFIXES | {".m3u8", ".mpd"}
STREAM_SCHEMES = frozenset(("rtsp", "rtsps", "rtmp", "rtmps", "rtmpt", "srt", "udp"))
WEB_SCHEMES = frozenset(("http", "https"))

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")  # two letters at least: C:// is a drive


@dataclass(frozen=True, eq=False)
class Location:
    """One thing to open, and what to call it.

    `value` is the path, the URL, the number of the camera, the image itself, or the problem.
    """

    kind: Literal["image", "video", "url", "stream", "camera", "memory", "problem"]
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
    if suffix in IMAGE_SUFFIXES:
        return "image"
    return "video" if suffix in VIDEO_SUFFIXES else None


def describe_suffixes() -> str:
    """Which suffixes count, for an error."""
    images, videos = " ".join(sorted(IMAGE_SUFFIXES)), " ".join(sorted(VIDEO_SUFFIXES))
    return f"images end in {images}, videos in {videos}"
