"""Views of images → batches of one canvas size → candidates, in memory that is used again."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from time import perf_counter
from typing import Generic, TypeVar

import numpy as np

from ..engines import Engine, Pending
from ..images.crops import Crop, Size
from ..postprocess import Rows, Selection, gather
from ..structures import Candidates, Image, IntArray

Source = TypeVar("Source")

MAX_KEPT = 4  # arrays of earlier batches that wait to be filled again


@dataclass(frozen=True)
class Sheet(Generic[Source]):
    """An image that is ready to be drawn onto batches."""

    source: Source
    name: str
    views: tuple[Crop, ...]  # none where the image could not be read
    draw: Callable[[int, Image], None]  # puts the view of that number onto a slot of a batch
    read: float  # seconds
    place: float


@dataclass(frozen=True)
class Group(Generic[Source]):
    """Images that go through the network together; the images themselves are no longer held."""

    sources: list[Source]
    names: list[str]
    views: list[tuple[Crop, ...]]
    read: float  # seconds, of all
    place: float


@dataclass(frozen=True)
class Part(Generic[Source]):
    """What the network sees at once: some views of a group, all of one canvas size."""

    images: Image | None  # (N or more, H, W, 3); None for a group without an image
    views: IntArray  # (N,) which of the group's views these are
    group: Group[Source] | None  # with its last part


@dataclass(frozen=True)
class Work(Generic[Source]):
    """A group that the network has seen.

    What it said of the last part is still where it was computed; of the others, only what may be
    worth keeping is left.
    """

    group: Group[Source]
    rows: list[tuple[Rows, IntArray]]
    last: tuple[Candidates, IntArray] | None
    network: float  # seconds


@dataclass
class Memory:
    """Arrays for batches, from earlier batches where they fit. Used from two threads at once."""

    engine: Engine
    _kept: deque[Image] = field(default_factory=lambda: deque(maxlen=MAX_KEPT))

    def take(self, images: int, image_size: Size) -> Image:
        """An (images, H, W, 3) array."""
        for _ in range(len(self._kept)):
            try:
                array = self._kept.popleft()
            except IndexError:  # never with a single taker
                break
            if array.shape[:3] == (images, *image_size):
                return array
            self._kept.append(array)
        return self.engine.new_batch(images, image_size)

    def give_back(self, array: Image) -> None:
        """It may be filled anew. Too many are not kept: the oldest is let go."""
        self._kept.append(array)


def make_parts(
    sheets: Iterator[Sheet[Source]], memory: Memory, *, batch_size: int
) -> Iterator[Part[Source]]:
    """Draw the views of images onto batches.

    A group has at most `batch_size` images, and ends as soon as there is a full batch of one canvas
    size; a single image may fill many.
    """
    while group := _next_group(sheets, batch_size):
        start = perf_counter()
        waited = 0.0
        views = [(sheet, number) for sheet in group for number in range(len(sheet.views))]
        chunks = _chunks([sheet.views[number].canvas for sheet, number in views], batch_size)
        for position, (size, chosen) in enumerate(chunks):
            images = memory.take(batch_size, size)
            for slot, place in zip(images, chosen, strict=False):
                sheet, number = views[place]
                sheet.draw(number, slot)
            if position < len(chunks) - 1:
                given = perf_counter()
                yield Part(images, np.array(chosen), None)
                waited += perf_counter() - given
        seconds = perf_counter() - start - waited
        done = Group(
            sources=[sheet.source for sheet in group],
            names=[sheet.name for sheet in group],
            views=[sheet.views for sheet in group],
            read=sum(sheet.read for sheet in group),
            place=sum(sheet.place for sheet in group) + seconds,
        )
        if chunks:
            yield Part(images, np.array(chosen), done)
        else:
            yield Part(None, np.empty(0, np.int64), done)


def run_parts(
    parts: Iterable[Part[Source]], engine: Engine, memory: Memory, selection: Selection
) -> Iterator[Work[Source]]:
    """Run the network on each part; give the groups as they are complete.

    As many parts as the engine has streams are on their way at once; they come out in order.
    """
    assembly: _Assembly[Source] = _Assembly(memory, selection)
    ahead: deque[tuple[Part[Source], Pending | None, float]] = deque()
    for part in parts:
        while len(ahead) >= engine.streams:  # before the next: no more are ever on their way
            yield from assembly.add(*ahead.popleft())
        start = perf_counter()
        pending = None
        if part.images is not None:
            pending = engine.submit(part.images[: len(part.views)])
        ahead.append((part, pending, perf_counter() - start))
        if engine.streams == 1:  # nothing to wait for: a camera's frame is not held back
            yield from assembly.add(*ahead.popleft())
    while ahead:
        yield from assembly.add(*ahead.popleft())


@dataclass
class _Assembly(Generic[Source]):
    """Puts what the network says of parts together to groups."""

    memory: Memory
    selection: Selection
    _rows: list[tuple[Rows, IntArray]] = field(default_factory=list)
    _last: tuple[Candidates, IntArray] | None = None
    _network: float = 0.0

    def add(
        self, part: Part[Source], pending: Pending | None, seconds: float
    ) -> Iterator[Work[Source]]:
        """Wait for a part; give its group if it is the last of it.

        Args:
            part: the next one.
            pending: what the network says of it.
            seconds: that it took to begin. What the network does while something else is waited
                for costs nobody time, and is not counted.
        """
        start = perf_counter()
        if part.images is not None and pending is not None:
            if self._last is not None:  # so that only one part's candidates are held at a time
                candidates, views = self._last
                self._rows.append((gather(candidates, settings=self.selection), views))
            self._last = pending.result(), part.views
            self.memory.give_back(part.images)
        self._network += seconds + perf_counter() - start
        if part.group is not None:
            yield Work(part.group, self._rows, self._last, self._network)
            self._rows, self._last, self._network = [], None, 0.0


def _next_group(sheets: Iterator[Sheet[Source]], batch_size: int) -> list[Sheet[Source]]:
    """The next images, until they fill a batch."""
    group: list[Sheet[Source]] = []
    counts: dict[Size, int] = {}
    for sheet in islice(sheets, batch_size):
        group.append(sheet)
        for view in sheet.views:
            counts[view.canvas] = counts.get(view.canvas, 0) + 1
        if max(counts.values(), default=0) >= batch_size:
            break
    return group


def _chunks(canvases: list[Size], batch_size: int) -> list[tuple[Size, list[int]]]:
    """Which views go through the network together: of one size, and no more than a batch."""
    places: dict[Size, list[int]] = {}
    for place, size in enumerate(canvases):
        places.setdefault(size, []).append(place)
    return [
        (size, own[start : start + batch_size])
        for size, own in places.items()
        for start in range(0, len(own), batch_size)
    ]
