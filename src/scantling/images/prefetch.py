"""Reading ahead: a thread fills a short queue while the consumer works."""

from collections.abc import Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event, Semaphore, Thread
from typing import Generic, TypeVar

from ..errors import InvalidValue

T = TypeVar("T")

JOIN_SECONDS = 1.0  # a reader that waits for a camera, a server or a person is left to itself


def prefetch(items: Iterator[T], *, depth: int = 4) -> "Prefetched[T]":
    """The same items in the same order, made by a thread that runs ahead of the consumer.

    The thread starts with the first `next` and ends when the items do, or when this iterator is
    closed or dropped; `items` is then closed too. An error in `items` is raised by `next`.

    Args:
        items: frames from `read_sources`, or any other iterator.
        depth: how many items may be made ahead, the one that is being made included.

    Raises:
        InvalidValue: `depth` is less than 1.
    """
    if depth < 1:
        raise InvalidValue("depth", depth, "at least 1")
    return Prefetched(items, depth)


@dataclass(frozen=True)
class _End:
    """The last thing in the queue: the items are at an end, or broke with an error."""

    error: BaseException | None = None


class Prefetched(Generic[T]):
    """An iterator with a thread behind it. `close` may be called from any thread."""

    def __init__(self, items: Iterator[T], depth: int) -> None:
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
        """Stop the thread, and wait a moment for it to end. What it made ahead is thrown away."""
        self._stop()
        if self._started:
            self._reader.join(JOIN_SECONDS)
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
