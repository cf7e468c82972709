"""Prepared images → batches of crops of one size → candidates → what is kept of each image.

The memory of a batch is used again for a later one.
"""

import contextlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from ..engines import Engine, Pending
from ..images.crops import Crop, PreparedImage, Size
from ..postprocess.fusion import Regions
from ..postprocess.selection import Selection, suppress
from ..postprocess.suppression import Ranked, cut, sort
from ..structures import Candidates, FloatArray, Image, IntArray

CUT_SHARE = 0.02  # of a tile: nearer to its edge than this, a box ends there
MAX_KEPT = 4  # arrays of earlier batches that wait to be filled again


@dataclass(frozen=True, eq=False)
class CropBatch:
    """What the network sees at once: crops of one canvas size, of one image or several.

    Images that share batches are a group: at most as many as a batch has slots. A single image may
    have more crops than that.
    """

    images: Image | None  # (N or more, H, W, 3); None for a group without a readable image
    crops: tuple[Crop, ...]  # N
    numbers: IntArray  # (N,) which of the crops of the group's images these are
    group: tuple[PreparedImage, ...]  # with its last batch; before, empty
    preprocess: float  # seconds to fill it


@dataclass
class BufferPool:
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


def make_batches(
    prepared: Iterator[PreparedImage],
    buffers: BufferPool,
    *,
    batch_size: int,
    pad_value: int | tuple[int, int, int],
) -> Iterator[CropBatch]:
    """Fill batches with the crops of images.

    A group has at most `batch_size` images, and ends as soon as there is a full batch of one canvas
    size; a single image may fill many.
    """
    while group := _next_group(prepared, batch_size):
        crops = [(image, number) for image in group for number in range(len(image.crops))]
        chunks = _chunks([image.crops[number].canvas for image, number in crops], batch_size)
        whole = tuple(image.without_pixels() for image in group)
        if not chunks:
            yield CropBatch(None, (), np.empty(0, np.int64), whole, 0.0)
        for position, (size, chosen) in enumerate(chunks, start=1):
            start = perf_counter()
            images = buffers.take(batch_size, size)
            shown = [image.crops[number] for image, number in map(crops.__getitem__, chosen)]
            for slot, place in zip(images, chosen, strict=False):
                image, number = crops[place]
                image.put(number, slot, pad_value=pad_value)
            is_last = position == len(chunks)
            if is_last:  # nothing holds the pixels while the network works
                group, crops, image = [], [], whole[0]
            yield CropBatch(
                images=images,
                crops=tuple(shown),
                numbers=np.array(chosen),
                group=whole if is_last else (),
                preprocess=perf_counter() - start,
            )


def run_batches(
    batches: Iterable[CropBatch], engine: Engine, buffers: BufferPool
) -> Iterator[tuple[CropBatch, Candidates | None, float]]:
    """Run the network on each batch: its candidates, and the seconds that it was waited for.

    As many batches as the engine has streams are on their way at once; they come out in order.
    """
    ahead: deque[tuple[CropBatch, Pending | None, float]] = deque()
    try:
        for batch in batches:
            while len(ahead) >= engine.streams:  # before the next: no more are ever on their way
                yield _wait(*ahead.popleft(), buffers)
            start = perf_counter()
            pending = None
            if batch.images is not None:
                pending = engine.submit(batch.images[: len(batch.crops)])
            ahead.append((batch, pending, perf_counter() - start))
            if engine.streams == 1:  # nothing to wait for: a camera's frame is not held back
                yield _wait(*ahead.popleft(), buffers)
        while ahead:
            yield _wait(*ahead.popleft(), buffers)
    finally:  # left early: the engine is done with every batch before anybody else uses it
        for _, pending, _ in ahead:
            if pending is not None:
                with contextlib.suppress(Exception):
                    pending.result()


def _wait(
    batch: CropBatch, pending: Pending | None, seconds: float, buffers: BufferPool
) -> tuple[CropBatch, Candidates | None, float]:
    """Wait for the candidates of a batch, whose array may then be filled anew.

    Args:
        batch: the next one.
        pending: its candidates, on their way.
        seconds: that it took to begin. What the network does while something else is waited
            for costs nobody time, and is not counted.
        buffers: where its array goes.
    """
    start = perf_counter()
    if batch.images is None or pending is None:
        return batch, None, seconds
    candidates = pending.result()
    buffers.give_back(batch.images)
    return replace(batch, images=None), candidates, seconds + perf_counter() - start


def _next_group(prepared: Iterator[PreparedImage], batch_size: int) -> list[PreparedImage]:
    """The next images, until their crops fill a batch."""
    group: list[PreparedImage] = []
    counts: dict[Size, int] = {}
    for image in islice(prepared, batch_size):
        group.append(image)
        for crop in image.crops:
            counts[crop.canvas] = counts.get(crop.canvas, 0) + 1
        if max(counts.values(), default=0) >= batch_size:
            break
    return group


def _chunks(canvases: list[Size], batch_size: int) -> list[tuple[Size, list[int]]]:
    """Which crops go through the network together: of one size, and no more than a batch."""
    places: dict[Size, list[int]] = {}
    for place, size in enumerate(canvases):
        places.setdefault(size, []).append(place)
    return [
        (size, own[start : start + batch_size])
        for size, own in places.items()
        for start in range(0, len(own), batch_size)
    ]


def select_crops(
    parts: Sequence[tuple[Ranked, IntArray]],
    crops: Sequence[Sequence[Crop]],
    *,
    settings: Selection,
    clip: bool = True,
) -> list[Ranked]:
    """Merge the candidates of each image's crops, and keep the best; boxes in its own pixels.

    The boxes of an image with several crops are compared in its own pixels. Those of one that has a
    single crop are compared where they are, so that nothing is rounded before it must be.

    Args:
        parts: the candidates of each batch, in pixels of the canvas, and (N,) which crop each of
            its images was.
        crops: of each image; a part counts all of them, one after the other.
        settings: which to keep.
        clip: cut boxes off at the edge of the image.

    Returns:
        One for each image.
    """
    flat = [crop for own in crops for crop in own]
    owner = np.repeat(np.arange(len(crops)), [len(own) for own in crops])
    if len(parts) == 1 and np.array_equal(owner[parts[0][1]], np.arange(len(crops))):
        ranked = parts[0][0]  # one crop an image, all in one batch: nothing to merge
    else:
        ranked = _merge(parts, flat, owner, len(crops), settings)
    regions = None
    if settings.merge == "wbf":
        boxes = np.array([crop.region for crop in flat], np.float32).reshape(-1, 4)
        regions = Regions(boxes, owner)
    found = suppress(ranked, settings=settings, regions=regions)
    return [_in_image(one, own, clip) for one, own in zip(found, crops, strict=True)]


def _merge(
    parts: Sequence[tuple[Ranked, IntArray]],
    crops: Sequence[Crop],
    owner: IntArray,
    images: int,
    settings: Selection,
) -> Ranked:
    """The candidates of several batches, or of several crops an image, ranked image by image.

    Args:
        parts: as of `select_crops`.
        crops: of all images.
        owner: (V,) the image of each crop.
        images: how many there are.
        settings: `max_candidates`, and whether classes contend.
    """
    which = np.concatenate([np.empty(0, np.int64), *(own[part.image] for part, own in parts)])
    order = np.argsort(which, kind="stable")
    which = which[order]
    boxes = np.concatenate([np.empty((0, 4), np.float32), *(part.boxes for part, _ in parts)])[
        order
    ]
    scores = np.concatenate([np.empty(0, np.float32), *(part.scores for part, _ in parts)])[order]
    labels = np.concatenate([np.empty(0, np.int64), *(part.labels for part, _ in parts)])[order]
    for number in np.flatnonzero(np.bincount(owner, minlength=images)[owner] > 1).tolist():
        start, end = np.searchsorted(which, [number, number + 1])
        boxes[start:end] = crops[number].placement.undo(boxes[start:end], clip=False)
    ranked = sort(
        boxes, scores, labels, owner[which], images=images, class_aware=settings.class_aware
    )
    return cut(ranked, settings.max_candidates)


def end_inside(boxes: FloatArray, image: IntArray, *, crops: Sequence[Crop]) -> NDArray[np.bool_]:
    """(R,) which boxes do not end where a tile was cut: its neighbour shows them whole.

    Args:
        boxes: (R, 4) in pixels of the canvas.
        image: (R,) the crop of each, in order.
        crops: of the batch.
    """
    kept = np.ones(len(boxes), np.bool_)
    ends = np.searchsorted(image, np.arange(len(crops) + 1))
    for crop, (start, end) in zip(crops, pairwise(ends.tolist()), strict=True):
        if any(crop.cut):
            own = crop.placement.undo(boxes[start:end], clip=False)
            kept[start:end] = ~_end_at_cut(own, crop)
    return kept


def _end_at_cut(boxes: FloatArray, crop: Crop) -> NDArray[np.bool_]:
    """Which boxes, in pixels of the image, reach an edge at which the image was cut."""
    left, top, right, bottom = crop.region
    near = np.array([right - left, bottom - top], np.float32) * CUT_SHARE
    first, last = np.array([left, top]) + near, np.array([right, bottom]) - near
    beyond = np.concatenate([boxes[:, :2] < first, boxes[:, 2:] > last], 1)
    found: NDArray[np.bool_] = (beyond & np.array(crop.cut)).any(1)
    return found


def _in_image(found: Ranked, crops: Sequence[Crop], clip: bool) -> Ranked:
    """The same in pixels of the image, cut off at its edge if `clip`."""
    boxes = found.boxes
    if len(crops) == 1:
        boxes = crops[0].placement.undo(boxes, clip=clip)
    elif crops and clip:
        height, width = crops[0].placement.image_size
        boxes = np.clip(boxes, 0, np.array([width, height, width, height], np.float32))
    return replace(found, boxes=boxes)
