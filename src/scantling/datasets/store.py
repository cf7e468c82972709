"""Image store: training images, decoded and downscaled once into one file on disk.

Pixels are kept as they are, one image after the other: the operating system holds what it has room
for in memory, and a read is a copy. Labels are never kept here.
"""

import errno
import hashlib
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from ..cache import make_room
from ..errors import InvalidValue
from ..images.read import read_image
from ..io.folders import free_bytes
from ..structures import Image

logger = logging.getLogger(__name__)

VERSION = 1
BINARY = getattr(os, "O_BINARY", 0)
RECENT = 160  # images not on disk that stay in memory, for a mosaic that wants them again
Size = tuple[int, int]  # (height, width)
_POSITION = threading.Lock()  # of a file, where the system reads at no place that is named


class ImageStore:
    """The images of a data set, downscaled to the long side that training needs.

    Several processes may fill and read one store at once, and any of them may be killed: an image
    counts as stored when its signature is there, which is written last, and is read again after
    the pixels were. The signature is that of the file (size and times), so that a changed or
    touched image is decoded anew.

    Args:
        paths: of the images.
        sizes: (height, width) of each, upright.
        long_side: to which larger images are made smaller; smaller ones stay.
        folder: where to keep them; None to decode every time.
        budget: bytes on disk; what does not fit is decoded every time.

    Attributes:
        shapes: (height, width) of each image as it is read.

    Raises:
        InvalidValue: a long side that is none, or paths without sizes.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        sizes: Sequence[Size],
        *,
        long_side: int,
        folder: Path | None = None,
        budget: int = 0,
    ) -> None:
        if long_side < 1:
            raise InvalidValue("long_side", long_side, "a number of pixels from 1")
        if len(paths) != len(sizes):
            raise InvalidValue("sizes", len(sizes), f"{len(paths)}, one an image")
        self.paths = tuple(paths)
        self.long_side = long_side
        self.shapes = [_smaller(size, long_side) for size in sizes]
        ends = np.cumsum([height * width * 3 for height, width in self.shapes], dtype=np.int64)
        self._starts = np.concatenate([[0], ends])
        self.stored = int(np.searchsorted(ends, budget, side="right")) if folder else 0
        self._files = None
        if folder and self.stored:
            try:
                self._files = _create(folder, self)
            except OSError as error:
                logger.info(f"images are decoded every time: {folder} cannot keep them: {error}")
                self.stored = 0
        self._descriptors: tuple[int, int] | None = None
        self._recent: OrderedDict[int, Image] = OrderedDict()

    def __getstate__(self) -> dict[str, object]:
        # every process opens the files itself
        return {**self.__dict__, "_descriptors": None, "_recent": OrderedDict()}

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def bytes_on_disk(self) -> int:
        """Bytes of the full store."""
        return int(self._starts[self.stored])

    def read(self, index: int) -> Image:
        """One image, (H, W, 3) uint8 RGB, upright, its long side at most `long_side`.

        It is to be read only: it may be handed out again.

        Raises:
            InvalidSource: the file cannot be read.
        """
        if index >= self.stored or self._files is None:
            return self._remembered(index)
        signature = _signature(self.paths[index])
        try:
            image = self._find(index, signature)
            if image is None:
                image = self._decode(index)
                if image.shape[:2] == self.shapes[index]:  # else it changed since it was listed
                    self._keep(index, signature, image)
        except OSError as error:
            logger.info(f"images are decoded every time from here on: {error}")
            self._files = None
            return self._remembered(index)
        return image

    def _find(self, index: int, signature: bytes) -> Image | None:
        """An image that is stored; None where it is not, or another of the file."""
        pixels, signatures = self._open()
        if _read(signatures, 8, 8 * index) != signature:
            return None
        image = np.empty((*self.shapes[index], 3), np.uint8)
        whole = _read_into(pixels, image, int(self._starts[index]))
        # nobody wrote another meanwhile
        return image if whole and _read(signatures, 8, 8 * index) == signature else None

    def _keep(self, index: int, signature: bytes, image: Image) -> None:
        pixels, signatures = self._open()
        _write(signatures, bytes(8), 8 * index)
        _write(pixels, np.ascontiguousarray(image).data.cast("B"), int(self._starts[index]))
        _write(signatures, signature, 8 * index)

    def _remembered(self, index: int) -> Image:
        """Read an image through the in-memory LRU cache."""
        image = self._recent.pop(index, None)
        if image is None:
            image = self._decode(index)
            image.flags.writeable = False
        self._recent[index] = image
        if len(self._recent) > RECENT:
            self._recent.popitem(last=False)
        return image

    def _decode(self, index: int) -> Image:
        image = read_image(self.paths[index])
        height, width = _smaller((image.shape[0], image.shape[1]), self.long_side)
        if (height, width) == image.shape[:2]:
            return image
        return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))

    def _open(self) -> tuple[int, int]:
        """Descriptors of the two files. They are not mapped: a full disk would end the process."""
        if self._descriptors is None:
            if self._files is None:
                raise InvalidValue("folder", None, "one to keep images in")
            pixels, signatures = (os.open(file, os.O_RDWR | BINARY) for file in self._files)
            self._descriptors = pixels, signatures
        return self._descriptors

    def __del__(self) -> None:
        for descriptor in self.__dict__.get("_descriptors") or ():
            os.close(descriptor)


def _smaller(size: Size, long_side: int) -> Size:
    """A size scaled down to a long side."""
    height, width = size
    scale = min(1.0, long_side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _create(folder: Path, store: ImageStore) -> tuple[Path, Path]:
    """The two files of a store, as long as they will be; made by whoever comes first."""
    listing = "\n".join(
        f"{path.absolute()} {shape}" for path, shape in zip(store.paths, store.shapes, strict=True)
    )
    key = hashlib.blake2b(
        f"{VERSION} {store.long_side} {store.stored} {listing}".encode(errors="surrogateescape"),
        digest_size=12,
    ).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    files = folder / f"{key}.pixels", folder / f"{key}.signatures"
    for file, size in zip(files, (store.bytes_on_disk, 8 * store.stored), strict=True):
        with os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT, 0o644), "r+b") as stream:
            if stream.seek(0, os.SEEK_END) != size:
                _reserve(stream.fileno(), file, size)
        os.utime(file)  # used now
    return files


def _reserve(descriptor: int, file: Path, size: int) -> None:
    """Make a file that long, of zeros, which are no signature; its place on the disk is taken."""
    make_room(file.parent.parent, size, keep=[file.with_suffix(".pixels")])
    try:
        free = free_bytes(file.parent)
        if free is not None and free < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
        if hasattr(os, "posix_fallocate"):
            os.ftruncate(descriptor, 0)
            os.posix_fallocate(descriptor, 0, size)  # has its length when all of it is there
        else:
            os.ftruncate(descriptor, size)
    except OSError:
        with suppress(OSError):
            file.unlink()
        raise


def _signature(path: Path) -> bytes:
    """The signature of a file, 8 bytes which any change of it changes; never 0."""
    try:
        status = path.stat()
        state = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
    except OSError:
        state = "missing"
    return hashlib.blake2b(state.encode(), digest_size=8).digest().replace(bytes(8), b"\1" * 8)


def _read(descriptor: int, size: int, place: int) -> bytes:
    found = np.empty(size, np.uint8)
    return found.tobytes() if _read_into(descriptor, found, place) else b""


def _read_into(descriptor: int, array: Image, place: int) -> bool:
    """Fill an array from a place in a file; False where it ends before."""
    rest = array.reshape(-1).data
    while rest:
        if hasattr(os, "preadv"):
            count = os.preadv(descriptor, [rest], place)
        else:
            with _POSITION:
                os.lseek(descriptor, place, os.SEEK_SET)
                found = os.read(descriptor, len(rest))
            rest[: len(found)], count = found, len(found)
        if not count:
            return False
        rest, place = rest[count:], place + count
    return True


def _write(descriptor: int, data: bytes | memoryview, place: int) -> None:
    rest = memoryview(data)
    while rest:
        if hasattr(os, "pwrite"):
            count = os.pwrite(descriptor, rest, place)
        else:
            with _POSITION:
                os.lseek(descriptor, place, os.SEEK_SET)
                count = os.write(descriptor, rest)
        rest, place = rest[count:], place + count
