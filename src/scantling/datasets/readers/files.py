"""Find images and files by listing whole folders, not asking file by file."""

import logging
import os
import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from ...errors import InvalidSource
from ...images.headers import Header, is_image_suffix, read_header
from ...images.paths import describe_left_out
from ...images.read import check_regular, read_bytes
from ..dataset import ImageId
from ..findings import Problems, data_error

# Reads what an image file says of itself. Whoever has that in a cache hands in another one.
HeaderReader = Callable[[Path], Header]

logger = logging.getLogger(__name__)

BLOCK = 2**17  # bytes at the front of a JPEG in which its size is looked for first
MAX_IMAGES = 5_000_000
MAX_OTHERS = 300_000  # names that are no images, and as many more as there are twice images
MAX_FOLDERS = 300_000
MAX_PARTS, MAX_LENGTH = 128, 4_096  # of a path: folders, letters
MAX_LOOKED_AT = 2_000  # names in a folder, when only a hint is looked for

_DIGITS = re.compile(r"[0-9]{1,18}", re.ASCII)


class Folders:
    """A cache of folder listings; of more folders than any data set has, it keeps no more."""

    def __init__(self) -> None:
        self._names: dict[str, frozenset[str]] = {}
        self._spellings: dict[str, dict[str, str | None]] = {}
        self._called: dict[str, str | None] = {}

    def names(self, folder: str) -> frozenset[str]:
        """All names in a folder; none where it cannot be listed."""
        if (known := self._names.get(folder)) is not None:
            return known
        try:
            found = frozenset(os.listdir(folder or "."))  # noqa: PTH208
        except (OSError, ValueError):
            found = frozenset()
        if not self.is_full:
            self._names[folder] = found
        return found

    @property
    def is_full(self) -> bool:
        """Whether so many folders were asked for that only an attack can be the reason."""
        return len(self._names) + len(self._called) > MAX_FOLDERS

    def has(self, path: str) -> bool:
        """Whether there is something at a path."""
        folder, name = os.path.split(path)
        return name in self.names(folder)

    def find(self, path: str) -> str | None:
        """The path as its file and its folder are called where upper and lower case count.

        None where nothing is called so, or more than one thing; or the path is longer than any is.
        """
        if self.has(path):
            return path
        if self.is_full or path.count("/") > MAX_PARTS or len(path) > MAX_LENGTH:
            return None
        folder, name = os.path.split(path)
        called = self._folder(folder)
        found = None if called is None else self._spelling(called, name)
        return None if called is None or found is None else os.path.join(called, found)  # noqa: PTH118

    def _folder(self, folder: str) -> str | None:
        """What a folder is called; None where there is nothing in any of that name."""
        if folder not in self._called:
            self._called[folder] = None
            parent, last = os.path.split(folder)
            if self.names(folder):
                self._called[folder] = folder
            elif last and (above := self._folder(parent)) is not None:
                found = self._spelling(above, last)
                self._called[folder] = found and os.path.join(above, found)  # noqa: PTH118
        return self._called[folder]

    def _spelling(self, folder: str, name: str) -> str | None:
        """What a name is called in a folder, whatever the case of its letters."""
        if folder not in self._spellings:
            known: dict[str, str | None] = {}
            for there in self.names(folder):
                lower = there.lower()
                known[lower] = None if lower in known else there
            self._spellings[folder] = known
        return self._spellings[folder].get(name.lower())


def is_image(name: str) -> bool:
    """Whether a file name has the suffix of an image, and is not hidden."""
    return is_image_suffix(os.path.splitext(name)[1].lower()) and name[0] != "."  # noqa: PTH122


class Walk:
    """Counts what lies in the folders that one data set names, or in which its patterns look.

    A path such as `/` would be walked through for hours.
    """

    def __init__(self) -> None:
        self._images = self._others = 0

    def count(self, folder: Path, names: list[str]) -> list[str]:
        """Take in the names in a folder; return the images among them.

        Raises:
            InvalidData: E230 there are too many of all folders together, or hardly an image.
        """
        images = list(filter(is_image, names))
        self._images += len(images)
        self._others += len(names) - len(images)
        if self._images > MAX_IMAGES:
            raise data_error("E230", folder, f"more than {MAX_IMAGES:,} images lie in it")
        if self._others > MAX_OTHERS + 2 * self._images:
            problem = f"more than {self._others - 1:,} files that are no images lie in it"
            raise data_error("E230", folder, problem, fix="Name the folder of the images")
        return images

    def look_through(self, folder: str) -> None:
        """Count all that lies in a folder and below; raises as `count`."""
        for _, folders, files in os.walk(folder, followlinks=True):
            self.count(Path(folder), folders + files)


def find_images(folder: Path, walk: Walk) -> list[str]:
    """Paths of all images in a folder and below, sorted; hidden ones left out.

    Raises:
        InvalidData: E230 as `Walk.count`.
    """
    found: list[str] = []
    others: list[str] = []
    for parent, folders, files in os.walk(folder):
        images = sorted(walk.count(folder, folders + files))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [os.path.join(parent, name) for name in images]  # noqa: PTH118
        if len(images) < len(files):
            others += files
    if left_out := describe_left_out(others):
        logger.warning(f"{folder}: {left_out}")
    return found


def find_image_folders(folder: Path) -> list[Path]:
    """Folders with images at most three levels down, for a hint in an error; ten at most."""
    return list(islice(_folders_with_images(folder, 3), 10))


def _folders_with_images(folder: Path, levels: int) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            seen = sorted(islice(entries, MAX_LOOKED_AT), key=lambda entry: entry.name)
    except OSError:
        return
    if any(is_image(entry.name) for entry in seen):
        yield folder
    if levels:
        for entry in seen:
            if entry.is_dir() and not entry.name.startswith("."):
                yield from _folders_with_images(Path(entry.path), levels - 1)


def read_file_header(path: Path) -> Header:
    """Read the header of an image file: of a large JPEG, only its first bytes.

    Raises:
        InvalidSource: it cannot be read, or is no image.
    """
    if check_regular(path) > 2 * BLOCK:
        try:
            with path.open("rb") as file:
                front = file.read(BLOCK)
        except OSError as error:
            raise InvalidSource(str(path), (error.strerror or str(error)).lower()) from error
        if front.startswith(b"\xff\xd8"):
            try:
                return read_header(front + b"\xff\xd9", str(path))  # with the end it would have
            except InvalidSource:
                pass  # its size lies further back, behind a thumbnail or a colour profile
    return read_header(read_bytes(path), str(path))


def read_size(
    path: Path, problems: Problems, reader: HeaderReader, *, file: Path, line: int | None = None
) -> tuple[int, int] | None:
    """(height, width) of an image file, upright; None, and E301 to E304, where it has none.

    Args:
        file: what names the image, for the finding that it is not there.
        line: in that file.
    """
    try:
        if check_regular(path) == 0:
            problems.add("E302", "the file has no bytes", path, image=path)
            return None
    except InvalidSource as error:
        problems.add("E301", f"{path}: {error.problem}", file, line=line, image=path)
        return None
    try:
        header = reader(path)
    except InvalidSource as error:
        damaged = "cut off" in error.problem or "data " in error.problem
        problems.add("E304" if damaged else "E303", error.problem, path, image=path)
        return None
    height, width = header.size
    if height < 1 or width < 1:
        problems.add("E304", f"the image is {width} × {height} pixels", path, image=path)
        return None
    return (width, height) if header.orientation >= 5 else (height, width)


def name_images(paths: list[str]) -> list[ImageId]:
    """The id of each image in results: a number if its name is one, else its stem.

    Where that would be the same for two, they are called by their paths from the folder that all
    have in common.
    """
    stems = [os.path.splitext(os.path.basename(path))[0] for path in paths]  # noqa: PTH119, PTH122
    ids: list[ImageId] = [int(stem) if _DIGITS.fullmatch(stem) else stem for stem in stems]
    if len(set(ids)) == len(ids):
        return ids
    common = os.path.commonpath([os.path.abspath(path) for path in paths])  # noqa: PTH100
    seen: dict[ImageId, int] = {}
    for name in ids:
        seen[name] = seen.get(name, 0) + 1
    return [
        name if seen[name] == 1 else Path(os.path.relpath(path, common)).as_posix()
        for name, path in zip(ids, paths, strict=True)
    ]
