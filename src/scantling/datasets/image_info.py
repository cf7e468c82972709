"""Image files: their format and size, their hashes, whether they decode.

Only images are remembered between runs, never labels: those are cheap, and are always read again.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidSource
from ..images.headers import READERS, read_header
from ..images.heic import is_readable, reads_heic
from ..images.read import MAX_PIXELS, decode_image, read_bytes
from ..images.unended import end_jpeg
from ..io import count_cores
from ..structures import Image
from .fingerprints import perceptual_hash
from .image_info_cache import SETTLE_SECONDS, ImageInfoCache, sign

# Pixels above which images are decoded one at a time: 16 at once of the largest would take 8 GiB.
LARGE = 2**25
DIGEST_BYTES = 20  # two different images of one hash: not in the lifetime of the universe
NO_LOCK = nullcontext()


@dataclass(frozen=True)
class ImageInfo:
    """Format, size, hashes and faults of an image file.

    Args:
        problem: why it cannot be used, in words that follow its name; empty where it can.
        code: of the finding that `problem` makes: E101, E301 to E305; empty where there is none.
        kind: `JPEG`, `PNG`, …; empty where it is no image.
        size: (height, width) as stored, before EXIF turns it.
        orientation: 1 to 8, as EXIF counts; 1 is upright.
        digest: of the content of the file, in hexadecimal.
        perceptual_hash: of 64 bits; None without contrast or where it does not decode.
        channels: as stored: 1 grey, 3 colour, 4 with transparency or of four inks.
        bits: of a channel.
        one_colour: whether all its pixels are the same.
    """

    problem: str = ""
    code: str = ""
    kind: str = ""
    size: tuple[int, int] = (0, 0)
    orientation: int = 1
    digest: str = ""
    perceptual_hash: int | None = None
    channels: int = 3
    bits: int = 8
    one_colour: bool = False

    @property
    def upright(self) -> tuple[int, int]:
        """(height, width) after EXIF has turned it."""
        return self.size[::-1] if self.orientation >= 5 else self.size


def read_image_info(
    paths: Sequence[Path],
    *,
    cache: Path | None = None,
    workers: int | None = None,
    settle_seconds: float = SETTLE_SECONDS,
    progress: Callable[[int, int], None] | None = None,
) -> dict[Path, ImageInfo]:
    """Read the info of every image with several threads, or take it from the cache.

    A file is read again when its name, size, times or place on the disk are others than then.

    Args:
        paths: of images; one that is there twice is read once.
        cache: folder in which to remember; None for nowhere. Runs may share one at the same time,
            and may be killed at any moment.
        workers: threads; None for one a core, 8 at most.
        settle_seconds: how old the last change of a file must be for it to be remembered.
        progress: told how many are done, and of how many.
    """
    wanted = list(dict.fromkeys(paths))
    infos: dict[Path, ImageInfo] = {}
    tag = cv2.__version__ + ("+heic" if reads_heic() else "")
    with ImageInfoCache(cache, tag=tag, settle_seconds=settle_seconds) as store:
        signatures = {path: sign(path) for path in wanted}
        for path, values in store.find(signatures).items():
            known = unpack(values)
            if known is not None:
                infos[path] = known
        if progress is not None:
            progress(len(infos), len(wanted))
        missing = [path for path in wanted if path not in infos]
        for path, found in _inspect_all(missing, workers or min(8, count_cores())):
            infos[path] = found
            store.add(path, signatures[path], pack(found))
            if progress is not None:
                progress(len(infos), len(wanted))
    return {path: infos[path] for path in wanted}


def inspect_image(path: Path, *, lock: AbstractContextManager[object] = NO_LOCK) -> ImageInfo:
    """Read the info of one image file.

    Args:
        path: of the image; what is wrong with it is in `problem` and `code`, not raised.
        lock: held while a very large image is decoded.
    """
    try:
        data = read_bytes(path)
    except InvalidSource as error:
        code = "E101" if path.is_file() else "E303"  # no permission, or a folder, a pipe
        return ImageInfo(error.problem, code if path.exists() else "E301")
    if not data:
        return ImageInfo("is empty", "E302")
    digest = hashlib.blake2b(data, digest_size=DIGEST_BYTES).hexdigest()
    try:
        header = read_header(data, str(path))
    except InvalidSource as error:
        is_image = is_readable(data) or any(one.match(data) for _, one, _ in READERS)
        code = "E304" if is_image else "E303"
        return ImageInfo(error.problem, code, digest=digest)
    known = ImageInfo("", "", header.kind, header.size, header.orientation, digest)
    height, width = header.size
    if height * width > MAX_PIXELS:
        problem = f"is {width} × {height} pixels, more than the limit of {MAX_PIXELS:,} in all"
        return _with_problem(known, problem, "E305")
    with lock if height * width > LARGE else NO_LOCK:
        try:
            whole = data if header.ended else end_jpeg(data, str(path))
        except InvalidSource as error:
            return _with_problem(known, error.problem, "E304")
        return _read_pixels(known, whole, str(path))


def _read_pixels(known: ImageInfo, data: bytes, source: str) -> ImageInfo:
    """Add what only the decoded pixels show."""
    flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        raw = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        raw = None
    if raw is None:  # reading images decides; what these flags decode is not always the same
        try:
            image, orientation = decode_image(data, source), 1
        except InvalidSource as error:
            return _with_problem(known, error.problem, "E304")
        size, bits, channels = known.size, 8, 3
    else:
        image, orientation = _plain(np.asarray(raw)), known.orientation
        # The header of a TIFF gives the room that it takes, which may be a whole tile.
        size = (raw.shape[0], raw.shape[1])
        bits, channels = 8 * raw.dtype.itemsize, 1 if raw.ndim == 2 else raw.shape[2]
        if known.kind == "JPEG":
            bits, channels = _jpeg_samples(data)
    found = perceptual_hash(image, orientation=orientation)
    return ImageInfo(
        kind=known.kind,
        size=size,
        orientation=known.orientation,
        digest=known.digest,
        perceptual_hash=found,
        channels=channels,
        bits=bits,
        one_colour=found is None and bool((image == image[:1, :1]).all()),
    )


def _plain(image: NDArray[Any]) -> Image:
    """8 bits, and one channel or red, green, blue, of whatever was decoded."""
    if image.dtype == np.uint16:
        image = image >> 8
    elif image.dtype != np.uint8:  # floats and the like, which TIFF can hold
        low, high = float(np.nanmin(image)), float(np.nanmax(image))
        image = np.nan_to_num((image - low) * (255 / max(high - low, 1e-12)), posinf=255, neginf=0)
    if image.ndim == 3:
        image = image[..., 2::-1] if image.shape[2] >= 3 else image[..., 0]
    return np.ascontiguousarray(image, np.uint8)


def _jpeg_samples(data: bytes) -> tuple[int, int]:
    """Bits and channels that a JPEG declares; its header has been read, so they are there."""
    position = 2
    while position + 10 <= len(data):
        code = data[position + 1]
        if data[position] != 0xFF or code in (0x00, 0x01) or 0xD0 <= code <= 0xD9:
            position += 1
            continue
        if code == 0xFF:
            position += 1
            continue
        if 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC):
            return data[position + 4], data[position + 9]
        position += 2 + max(2, int.from_bytes(data[position + 2 : position + 4], "big"))
    return 8, 3


def _with_problem(known: ImageInfo, problem: str, code: str) -> ImageInfo:
    return ImageInfo(**{**vars(known), "problem": problem, "code": code})


def _inspect_all(paths: Sequence[Path], workers: int) -> Iterator[tuple[Path, ImageInfo]]:
    """The info of each file as it comes; no more files in memory than a few a thread."""
    lock = threading.Lock()
    waiting = iter(paths)
    running: dict[Future[ImageInfo], Path] = {}
    with ThreadPoolExecutor(workers, thread_name_prefix="scantling-image-info") as pool:
        try:
            while True:
                while len(running) < 2 * workers and (path := next(waiting, None)) is not None:
                    running[pool.submit(inspect_image, path, lock=lock)] = path
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield running.pop(future), future.result()
        finally:
            for future in running:
                future.cancel()


_FIELDS = tuple(ImageInfo.__dataclass_fields__)


def pack(info: ImageInfo) -> list[object]:
    """Convert to plain values for the cache."""
    values = [getattr(info, name) for name in _FIELDS]
    return [list(value) if isinstance(value, tuple) else value for value in values]


def unpack(values: object) -> ImageInfo | None:
    """Convert from plain values; None where they are not what `pack` made."""
    if not isinstance(values, list) or len(values) != len(_FIELDS):
        return None
    problem, code, kind, size, orientation, digest, found, channels, bits, one_colour = values
    texts = (problem, code, kind, digest)
    numbers = (orientation, channels, bits, 0 if found is None else found)
    if not (
        all(isinstance(value, str) for value in texts)
        and all(type(value) is int for value in numbers)
        and isinstance(size, list)
        and len(size) == 2
        and all(type(side) is int for side in size)
        and isinstance(one_colour, bool)
        and 1 <= orientation <= 8
        and (found is None or 0 <= found < 2**64)
    ):
        return None
    return ImageInfo(
        problem, code, kind, (size[0], size[1]), orientation, digest, found, channels, bits,
        one_colour,
    )  # fmt: skip
