"""Image files to measure with: the user's own, or drawn ones."""

import logging
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ..errors import InvalidSource, InvalidValue
from ..images import read_image

logger = logging.getLogger(__name__)

DRAWN = 4  # image files that are drawn where none are given
DRAWN_SIZE = (480, 640)  # height, width
MOST = 64  # images that are used, the first
SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"))


def find_images(paths: Sequence[str | Path]) -> list[Path]:
    """The image files of these files and folders, in order; of the first `MOST` the readable ones.

    Args:
        paths: files and folders.

    Raises:
        InvalidValue: there is no image that can be read.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = (one for one in path.rglob("*") if one.suffix.lower() in SUFFIXES)
            found += sorted(inside)
        else:
            found.append(path)
    kept = [path for path in found[:MOST] if _readable(path)]
    if not kept:
        given = ", ".join(map(str, paths))
        raise InvalidValue("images", given, "image files, or folders that hold some")
    return kept


def draw_images(folder: Path) -> list[Path]:
    """Write a few JPEG files of 480×640 with blurred noise and shapes, always the same."""
    rng = np.random.default_rng(0)
    paths = []
    for number in range(DRAWN):
        coarse = rng.integers(0, 256, (30, 40, 3), np.uint8)
        height, width = DRAWN_SIZE
        image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        for _ in range(12):
            left, top = int(rng.integers(0, width - 60)), int(rng.integers(0, height - 60))
            right, bottom = left + int(rng.integers(20, 200)), top + int(rng.integers(20, 200))
            colour = tuple(int(value) for value in rng.integers(0, 256, 3))
            cv2.rectangle(image, (left, top), (right, bottom), colour, cv2.FILLED)
        grain = rng.normal(0, 6, image.shape)
        noisy = np.clip(image + grain, 0, 255).astype(np.uint8)
        path = folder / f"drawn-{number}.jpg"
        path.write_bytes(cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
        paths.append(path)
    return paths


def describe_images(paths: Sequence[Path], *, drawn: bool) -> str:
    """How many images of which size, in one line."""
    sizes = sorted({read_image(path).shape[:2] for path in paths})
    (low_height, low_width), (high_height, high_width) = sizes[0], sizes[-1]
    shown = f"{low_height}×{low_width}"
    if len(sizes) > 1:
        shown += f" to {high_height}×{high_width}"
    kind = "drawn JPEG" if drawn else "image"
    return f"{len(paths)} {kind} file{'s' if len(paths) > 1 else ''} of {shown}"


def _readable(path: Path) -> bool:
    try:
        read_image(path)
    except InvalidSource as error:
        logger.info(f"left out: {error}")
        return False
    return True
