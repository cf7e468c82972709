"""What is known of an image file: its kind and size, its hashes, whether it decodes.

Only images are remembered between runs, never labels: those are cheap, and are always read again.
"""

import hashlib
import os
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
from ..images.read import MAX_PIXELS, decode_image, read_bytes
from ..structures import Image
from .fingerprints import perceptual_hash
from .image_info_cache import SETTLE_SECONDS, FactsCache, sign

# Pixels above which images are decoded one at a time: 16 at once of the largest would take 8 GiB.
LARGE = 2**25
DIGEST_BYTES = 20  # two different images of one hash: not in the lifetime of the universe
NO_LOCK = nullcontext()


@dataclass(frozen=True)
class ImageFacts:
    """What is known of an image file.

    Args:
        problem: why it cannot be used, in words that follow its name; empty where it can.
        code: of the finding that `problem` makes: E101, E301 to E305; empty where there is none.
        kind: `JPEG`, `PNG`, …; empty where it is no image.
        size: (height, width) as stored, before EXIF turns it.
        orientation: 1 to 8, as EXIF counts; 1 is upright.
        digest: of the content of the file, in hexadecimal.
        looks: what `perceptual_hash` gives; None without contrast or where it does not decode.
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
    looks: int | None = None
    channels: int = 3
    bits: int = 8
    one_colour: bool = False

    @property
    def upright(self) -> tuple[int, int]:
        """(height, width) after EXIF has turned it."""
        return self.size[::-1] if self.orientation >= 5 else self.size


def gather_facts(
    paths: Sequence[Path],
    *,
    cache: Path | None = None,
    workers: int | None = None,
    settle_seconds: float = SETTLE_SECONDS,
    progress: Callable[[int, int], None] | None = None,
) -> dict[Path, ImageFacts]:
    """The facts of every image, read by several threads, or remembered from an earlier run.

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
    facts: dict[Path, ImageFacts] = {}
    with FactsCache(cache, tag=cv2.__version__, settle_seconds=settle_seconds) as store:
        signatures = {path: sign(path) for path in wanted}
        for path, values in store.find(signatures).items():
            known = unpack(values)
            if known is not None:
                facts[path] = known
        if progress is not None:
            progress(len(facts), len(wanted))
        missing = [path for path in wanted if path not in facts]
        for path, found in _examine_all(missing, workers or min(8, os.cpu_count() or 1)):
            facts[path] = found
            store.add(path, signatures[path], pack(found))
            if progress is not None:
                progress(len(facts), len(wanted))
    return {path: facts[path] for path in wanted}


def examine(path: Path, *, lock: AbstractContextManager[object] = NO_LOCK) -> ImageFacts:
    """The facts of one image file, from the file.

    Args:
        path: of the image; what is wrong with it is among the facts, not raised.
        lock: held while a very large image is decoded.
    """
    try:
        data = read_bytes(path)
    except InvalidSource as error:
        code = "E101" if path.is_file() else "E303"  # no permission, or a folder, a pipe
        return ImageFacts(error.problem, code if path.exists() else "E301")
    if not data:
        return ImageFacts("is empty", "E302")
    digest = hashlib.blake2b(data, digest_size=DIGEST_BYTES).hexdigest()
    try:
        header = read_header(data, str(path))
    except InvalidSource as error:
        is_image = any(signature.match(data) for _, signature, _ in READERS)
        code = "E304" if is_image else "E303"
        return ImageFacts(error.problem, code, digest=digest)
    known = ImageFacts("", "", header.kind, header.size, header.orientation, digest)
    height, width = header.size
    if height * width > MAX_PIXELS:
        problem = f"is {width} × {height} pixels, more than the limit of {MAX_PIXELS:,} in all"
        return _with_problem(known, problem, "E305")
    with lock if height * width > LARGE else NO_LOCK:
        return _look_at(known, data, str(path))


def _look_at(known: ImageFacts, data: bytes, source: str) -> ImageFacts:
    """Add what only the pixels tell."""
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
    looks = perceptual_hash(image, orientation=orientation)
    return ImageFacts(
        kind=known.kind,
        size=size,
        orientation=known.orientation,
        digest=known.digest,
        looks=looks,
        channels=channels,
        bits=bits,
        one_colour=looks is None and bool((image == image[:1, :1]).all()),
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


def _with_problem(known: ImageFacts, problem: str, code: str) -> ImageFacts:
    return ImageFacts(**{**vars(known), "problem": problem, "code": code})


def _examine_all(paths: Sequence[Path], workers: int) -> Iterator[tuple[Path, ImageFacts]]:
    """The facts of each file as they come; no more files in memory than a few a thread."""
    lock = threading.Lock()
    waiting = iter(paths)
    running: dict[Future[ImageFacts], Path] = {}
    with ThreadPoolExecutor(workers, thread_name_prefix="scantling-facts") as pool:
        try:
            while True:
                while len(running) < 2 * workers and (path := next(waiting, None)) is not None:
                    running[pool.submit(examine, path, lock=lock)] = path
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield running.pop(future), future.result()
        finally:
            for future in running:
                future.cancel()


_FIELDS = tuple(ImageFacts.__dataclass_fields__)


def pack(facts: ImageFacts) -> list[object]:
    """Facts as plain values for the cache."""
    values = [getattr(facts, name) for name in _FIELDS]
    return [list(value) if isinstance(value, tuple) else value for value in values]


def unpack(values: object) -> ImageFacts | None:
    """Facts from plain values; None where they are not what `pack` made."""
    if not isinstance(values, list) or len(values) != len(_FIELDS):
        return None
    problem, code, kind, size, orientation, digest, looks, channels, bits, one_colour = values
    texts = (problem, code, kind, digest)
    numbers = (orientation, channels, bits, 0 if looks is None else looks)
    if not (
        all(isinstance(value, str) for value in texts)
        and all(type(value) is int for value in numbers)
        and isinstance(size, list)
        and len(size) == 2
        and all(type(side) is int for side in size)
        and isinstance(one_colour, bool)
        and 1 <= orientation <= 8
        and (looks is None or 0 <= looks < 2**64)
    ):
        return None
    return ImageFacts(
        problem, code, kind, (size[0], size[1]), orientation, digest, looks, channels, bits,
        one_colour,
    )  # fmt: skip
