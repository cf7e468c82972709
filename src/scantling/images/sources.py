"""Whatever the user names — files, folders, patterns, lists, URLs, videos, cameras — as frames.

And reading them ahead: a thread fills a short queue while the consumer works.
"""

import logging
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Semaphore, Thread
from typing import Generic, TypeVar

from ..errors import InvalidSource, InvalidValue
from .fetch import MAX_DOWNLOAD, TIMEOUT, fetch
from .paths import Location, as_sources, is_counted, is_standard_input, locate
from .read import (
    MAX_BYTES,
    MAX_PIXELS,
    Frame,
    MinSize,
    check_regular,
    decode_reduced,
    read_reduced,
    to_rgb_array,
)
from .video import count_frames, read_video

logger = logging.getLogger(__name__)

T = TypeVar("T")
JOIN_SECONDS = 1.0  # a reader that waits for a camera, a server or a person is left to itself


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much of an untrusted source is read before it is refused."""

    max_pixels: int = MAX_PIXELS  # width × height of one image or frame
    max_bytes: int = MAX_BYTES  # of one image file
    max_download: int = MAX_DOWNLOAD  # bytes of one image from the web
    timeout: float = TIMEOUT  # seconds for a download, for a stream to open, for its next frame


def read_sources(
    sources: object,
    *,
    workers: int = 2,
    limits: Limits | None = None,
    min_size: MinSize | None = None,
) -> Generator[Frame, None, None]:
    """Read everything that the sources stand for, lazily, in order.

    What cannot be read becomes a frame with a problem; the rest goes on. At most `workers` + 1
    still images are held at a time, and one frame of a video.

    Args:
        sources: one source or an iterable of them. A source is the path of an image, a video, a
            folder (read with those below it, sorted, hidden ones left out) or a `.txt` list of
            paths; a pattern such as `shots/**/*.jpg`; `-` for paths on standard input; an http(s)
            URL of an image or video; an rtsp, rtmp, srt or udp stream; the number of a camera, as
            int or str; an image in memory, as for `to_rgb_array`. What a generator yields is read
            as it comes; the images of a list are decoded in parallel.
        workers: threads that decode still images.
        limits: how much is read at most.
        min_size: how large an image must be at least: JPEG files may then come as reduced copies,
            which takes less time, see `decode_reduced`. None for all of every image.

    Raises:
        InvalidValue: `workers` is less than 1.
    """
    if workers < 1:
        raise InvalidValue("workers", workers, "at least 1")
    limits, min_size = limits or Limits(), min_size or _all
    return _in_order(locate(sources), lambda location: _open(location, limits, min_size), workers)


def count_images(sources: object) -> int | None:
    """How many frames `read_sources` will give; None where that cannot be known beforehand.

    Folders are listed and videos opened for it, but no image is decoded. A video counts as many
    frames as it says it has, a URL as one image.

    Args:
        sources: as for `read_sources`. A generator is left untouched, and its count is None.
    """
    if not is_counted(sources) or any(map(is_standard_input, as_sources(sources))):
        return None
    total = 0
    for location in locate(sources):
        if location is None or location.kind == "note":
            continue
        if location.kind in ("camera", "stream"):
            return None
        count = count_frames(location.value) if location.kind == "video" else 1
        if count is None:
            return None
        total += count
    return total


def _in_order(
    locations: Iterator[Location | None],
    open_location: Callable[[Location], Iterable[Frame]],
    workers: int,
) -> Generator[Frame, None, None]:
    """Open several locations at a time, and give their frames in the order of the locations."""
    pending: deque[Future[Iterable[Frame]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="scantling-read") as pool:
        try:
            for location in locations:
                if location is not None:
                    pending.append(pool.submit(open_location, location))
                while len(pending) > (workers if location is not None else 0):
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _open(location: Location, limits: Limits, min_size: MinSize) -> Iterable[Frame]:
    """The frames of one location: a still image is decoded here, a video when it is iterated."""
    name, value, most = location.name, location.value, limits.max_pixels
    size = None
    try:
        if location.kind == "image":
            image, size = read_reduced(value, min_size, max_pixels=most, max_bytes=limits.max_bytes)
        elif location.kind == "memory":
            image = to_rgb_array(value, source=name)
        elif location.kind == "url":
            answer = fetch(value, timeout=limits.timeout, max_bytes=limits.max_download)
            if answer.is_stream:
                return _stream(value, name, limits)
            image, size = decode_reduced(answer.data, name, min_size, max_pixels=most)
        elif location.kind == "video":
            check_regular(value)
            # Absolute, so that FFmpeg takes no `name:` at the front of a path for a protocol.
            return read_video(os.fspath(Path(value).absolute()), name, max_pixels=most)
        elif location.kind == "note":
            logger.warning(f"{name}: {value}")
            return []
        elif location.kind == "problem":
            return [Frame(name=name, problem=value)]
        else:
            return _stream(value, name, limits)
    except InvalidSource as error:
        return [Frame(name=name, problem=error.problem)]
    reduced = size not in (None, image.shape[:2])
    return [Frame(name, image, original=size if reduced else None, reduced=reduced)]


def _all(size: tuple[int, int]) -> tuple[int, int]:
    """Nothing smaller than the image will do."""
    return size


def _stream(value: str | int, name: str, limits: Limits) -> Iterator[Frame]:
    return read_video(value, name, live=True, timeout=limits.timeout, max_pixels=limits.max_pixels)


def prefetch(
    items: Iterator[T], *, depth: int = 4, patience: float | None = JOIN_SECONDS
) -> "Prefetched[T]":
    """The same items in the same order, made by a thread that runs ahead of the consumer.

    The thread starts with the first `next` and ends when the items do, or when this iterator is
    closed or dropped; `items` is then closed too. An error in `items` is raised by `next`.

    Args:
        items: frames from `read_sources`, or any other iterator.
        depth: how many items may be made ahead, the one that is being made included.
        patience: seconds that closing waits for the item that is being made; None until it is made,
            for what its maker works with is used by others then.

    Raises:
        InvalidValue: `depth` is less than 1.
    """
    if depth < 1:
        raise InvalidValue("depth", depth, "at least 1")
    return Prefetched(items, depth, patience)


@dataclass(frozen=True)
class _End:
    """The last thing in the queue: the items are at an end, or broke with an error."""

    error: BaseException | None = None


class Prefetched(Generic[T]):
    """An iterator with a thread behind it. `close` may be called from any thread."""

    def __init__(self, items: Iterator[T], depth: int, patience: float | None) -> None:
        self._ready: SimpleQueue[T | _End] = SimpleQueue()
        self._room = Semaphore(depth)
        self._stopped = Event()
        # A daemon: one that waits for ever in a driver must not keep the program from ending. It
        # holds no reference to this object, so that dropping the iterator stops it.
        self._reader = Thread(
            target=_read,
            args=(items, self._ready, self._room, self._stopped),
            name="scantling-prefetch",
            daemon=True,
        )
        self._patience = patience
        self._started = False
        self._items = items

    def __iter__(self) -> "Prefetched[T]":
        return self

    def __next__(self) -> T:
        if self._stopped.is_set():
            raise StopIteration
        if not self._started:
            self._started = True
            self._reader.start()
        item = self._ready.get()
        self._room.release()
        if not isinstance(item, _End):
            return item
        self.close()
        if item.error is not None:
            raise item.error
        raise StopIteration

    def close(self) -> None:
        """Stop the thread, and wait for it to end. What it made ahead is thrown away."""
        self._stop()
        if self._started:
            self._reader.join(self._patience)
        else:
            _close(self._items)

    def __del__(self) -> None:
        self._stop()

    def _stop(self) -> None:
        self._stopped.set()
        self._room.release()  # wakes a reader that waits for room
        self._ready.put(_End())  # wakes a consumer that waits in another thread


def _read(
    items: Iterator[T], ready: "SimpleQueue[T | _End]", room: Semaphore, stopped: Event
) -> None:
    end = _End()
    try:
        while room.acquire() and not stopped.is_set():
            try:
                item = next(items)
            except StopIteration:
                break
            ready.put(item)
    except BaseException as error:
        end = _End(error)
    finally:
        _close(items)  # here: only the thread that runs a generator may close it
        ready.put(end)


def _close(items: object) -> None:
    close = getattr(items, "close", None)
    if close is not None:
        close()
