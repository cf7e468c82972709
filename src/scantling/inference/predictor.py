"""A model at work: images → views → batches → candidates → what is in them."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from time import perf_counter
from typing import Any, Self, TypeVar

import numpy as np

from ..engines import Engine
from ..errors import InvalidValue
from ..images import Frame, InferencePlan, prefetch, read_sources, to_rgb_array
from ..images.crops import Crop, NetworkInput, Size, make_crops, min_size, preprocess
from ..images.prefetch import Prefetched
from ..images.preprocess import (
    THREADS,
    FileTask,
    PlacedFile,
    Placer,
    open_pool,
    plan_batches,
    run_ahead,
)
from ..images.read import MinSize
from ..postprocess import Selected, Selection, gather, select_views
from ..specs import InputSpec
from ..specs.coco import is_unused
from ..structures import Detections, Image
from .pipeline import Memory, Sheet, Work, make_parts, run_parts

Source = TypeVar("Source")


@dataclass(frozen=True)
class StageSeconds:
    """Where the time of an image went. The stages overlap, so an image takes less than their sum.

    An image that shared a batch counts its equal share.
    """

    read: float
    preprocess: float
    network: float
    postprocess: float


@dataclass(frozen=True)
class Prediction:
    """One image or frame, and what was found in it."""

    frame: Frame
    detections: Detections | None  # None where the frame could not be read: see `frame.problem`
    seconds: StageSeconds


@dataclass(frozen=True)
class FilePrediction:
    """What was found in one file of a known list. The image itself is no longer in memory."""

    index: int  # its place in the list
    path: str
    detections: Detections | None  # None where the file could not be read
    problem: str | None  # why there are none
    seconds: StageSeconds


class Predictor:
    """Finds objects in images: `predictor(image)` in one, `predictor.stream(sources)` in many.

    `predictor.stream_files(paths)` is for many files whose images are not needed afterwards, as in
    an evaluation. A context manager: at its end the engine is closed.

    Args:
        engine: what runs the network.
        names: of the classes, by label.
        input_spec: how an image is made to fit the input.
        selection: which candidates become detections.
        plan: the views of each image that the network is shown; their candidates are merged.
        clip: cut boxes off at the edge of the image.
        fast_decode: `stream` may decode a JPEG that is much larger than the network's input as a
            reduced copy where its caller does not want the images: in half the time, and boxes and
            scores are near those of the whole image, not equal. Never where it is cut into tiles.

    Raises:
        InvalidValue: the engine cannot take the views of the plan.
    """

    def __init__(
        self,
        engine: Engine,
        names: tuple[str, ...],
        *,
        input_spec: InputSpec,
        selection: Selection | None = None,
        plan: InferencePlan | None = None,
        clip: bool = True,
        fast_decode: bool = True,
    ) -> None:
        self.engine = engine
        self.names = names
        self.input_spec = input_spec
        self.selection = selection or Selection()
        self.plan = plan or InferencePlan()
        self.clip = clip
        self.fast_decode = fast_decode
        self.network_input = NetworkInput(
            engine.image_size, engine.size_divisor, input_spec.resize_mode, engine.whole_images
        )
        self._is_class = np.array([not is_unused(name) for name in names], np.bool_)
        make_crops(engine.image_size, self.plan, self.network_input)  # a mistake is told at once

    def close(self) -> None:
        """Let go of the engine's threads and memory; the predictor is of no use afterwards."""
        self.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __call__(self, image: object) -> Detections:
        """Find the objects in one image.

        Args:
            image: a path, an (H, W, 3) uint8 RGB array, a PIL image, or the bytes of a file.

        Raises:
            InvalidSource: it cannot be read as an image.
        """
        name = str(image) if isinstance(image, (str, Path)) else ""
        array = to_rgb_array(image)
        views, draw = self._views_of(array, (array.shape[0], array.shape[1]))
        sheet = Sheet(None, name, views, draw, 0.0, 0.0)
        memory = Memory(self.engine)
        parts = make_parts(iter([sheet]), memory, batch_size=1)
        (work,) = run_parts(parts, self.engine, memory, self.selection)
        (selected,) = self._select(work)
        return self._detections(selected, views, name)

    def stream(
        self, sources: object, *, batch_size: int = 1, keep_images: bool = True
    ) -> Generator[Prediction, None, None]:
        """Find the objects in many images, one prediction after the other, in order.

        Images are read and placed ahead, each in a thread of its own, while the network works; on a
        GPU the network too works ahead, while candidates are selected and the caller goes on. The
        threads end with the iterator, and a few batches are in memory at once.

        Args:
            sources: one or several: images, folders, patterns, videos, lists, cameras, addresses,
                arrays; see `read_sources`. A generator is read as it comes.
            batch_size: views that the network sees at once: images, where each has one view.
            keep_images: the `frame.image` of each prediction is wanted. If not, it may be a reduced
                copy, see `fast_decode`; boxes are in pixels of the original all the same.

        Raises:
            InvalidValue: `batch_size` is less than 1. What cannot be read is no error: its
                prediction says what is wrong.
        """
        _check_batch_size(batch_size)
        need = None if keep_images else self._need()
        frames = prefetch(_timed(read_sources(sources, min_size=need)), depth=batch_size + 1)
        sheets = map(self._sheet_of_frame, frames)
        with closing(self._stream(sheets, batch_size, frames)) as found:
            for frame, detections, seconds in found:
                yield Prediction(frame, detections, seconds)

    def stream_files(
        self,
        paths: Sequence[str | PathLike[str]],
        *,
        batch_size: int = 1,
        rectangular: bool = False,
        workers: int = 0,
    ) -> Generator[FilePrediction, None, None]:
        """Find the objects in a known list of image files, without keeping any image.

        Memory does not grow with the list. The processes or threads have ended when the iterator
        is at its end or closed (`contextlib.closing`).

        Args:
            paths: image files, one prediction each; `index` is the place in this list.
            batch_size: views that the network sees at once: images, where each has one view.
            rectangular: place each batch on the smallest canvas on which its images are as large
                as on the square one: faster, and not the same to the last digit, as the network
                sees less padding. The predictions then come in the order of the images' shapes;
                `index` tells which is which. Without, they come in the order of the list.
            workers: processes that read, decode and place; 0 for threads of this one. A script
                that uses them needs `if __name__ == "__main__":`.

        Raises:
            InvalidValue: `batch_size` is less than 1 or `workers` less than 0; or `rectangular` is
                asked for where images are stretched, cut into tiles, or the engine takes one size
                only. A file that cannot be read is no error: its prediction says what is wrong.
            WorkerLost: a process was ended from outside.
        """
        _check_batch_size(batch_size)
        names = [fspath(path) for path in paths]
        if rectangular and self.plan.tile is not None:
            raise InvalidValue("rectangular", True, "False where images are cut into tiles")
        pad_value = self.input_spec.pad_value
        placer = Placer(self.plan, self.network_input, pad_value)
        with open_pool(workers) as pool:
            tasks: Iterable[FileTask] = (
                plan_batches(names, self.network_input, pool, batch_size=batch_size)
                if rectangular
                else map(FileTask, range(len(names)), names)
            )
            ahead = batch_size + 2 * (workers or THREADS)
            placed = run_ahead(tasks, placer, pool, ahead=ahead)
            sheets = (_sheet_of_file(file, pad_value) for file in placed)
            with closing(self._stream(sheets, batch_size)) as found:
                for file, detections, seconds in found:
                    yield FilePrediction(file.index, file.path, detections, file.problem, seconds)

    def _stream(
        self, sheets: Iterator[Sheet[Source]], batch_size: int, *before: Prefetched[Any]
    ) -> Generator[tuple[Source, Detections | None, StageSeconds], None, None]:
        """Everything that follows once images are read, in threads that end with the iterator."""
        memory = Memory(self.engine)
        parts = prefetch(make_parts(sheets, memory, batch_size=batch_size), depth=1)
        stages: list[Prefetched[Any]] = [*before, parts]
        works = run_parts(parts, self.engine, memory, self.selection)
        if self.engine.in_background:
            works = ahead = prefetch(works, depth=1)
            stages.append(ahead)
        try:
            for work in works:
                yield from self._finish(work)
        finally:
            for stage in stages:  # the first one first: a stage that waits for it wakes
                stage.close()

    def _finish(
        self, work: Work[Source]
    ) -> Iterator[tuple[Source, Detections | None, StageSeconds]]:
        """Select among the candidates, and hand each image its own."""
        start = perf_counter()
        group = work.group
        found = [
            self._detections(selected, views, name) if views else None
            for selected, views, name in zip(
                self._select(work), group.views, group.names, strict=True
            )
        ]
        share = 1 / len(group.sources)
        seconds = StageSeconds(
            read=group.read * share,
            preprocess=group.place * share,
            network=work.network * share,
            postprocess=(perf_counter() - start) * share,
        )
        for source, detections in zip(group.sources, found, strict=True):
            yield source, detections, seconds

    def _select(self, work: Work[Source]) -> list[Selected]:
        """What is kept of each image of a group."""
        rows = list(work.rows)
        if work.last is not None:
            candidates, views = work.last
            rows.append((gather(candidates, settings=self.selection), views))
        return select_views(rows, work.group.views, settings=self.selection, clip=self.clip)

    def _sheet_of_frame(self, timed: tuple[Frame, float]) -> Sheet[Frame]:
        """The views of a frame."""
        frame, seconds = timed
        if frame.image is None or frame.size is None:
            return Sheet(frame, frame.name, (), _draw_nothing, seconds, 0.0)
        views, draw = self._views_of(frame.image, frame.size)
        return Sheet(frame, frame.name, views, draw, seconds, 0.0)

    def _need(self) -> MinSize | None:
        """How large an image must be at least to be drawn; None for all of it."""
        return (
            partial(min_size, plan=self.plan, network_input=self.network_input)
            if self.fast_decode
            else None
        )

    def _views_of(
        self, image: Image, original: Size
    ) -> tuple[tuple[Crop, ...], Callable[[int, Image], None]]:
        """The views of an image that has this size, or of a reduced copy; and what draws them."""
        views = make_crops(original, self.plan, self.network_input)
        pad_value = self.input_spec.pad_value

        def draw(number: int, slot: Image) -> None:
            preprocess(image, views[number], pad_value=pad_value, out=slot)

        return views, draw

    def _detections(self, selected: Selected, views: tuple[Crop, ...], source: str) -> Detections:
        """What was selected of an image; ids without a class are dropped."""
        found = Detections(
            boxes=selected.boxes,
            scores=selected.scores,
            labels=selected.labels,
            names=self.names,
            image_size=views[0].placement.image_size,
            source=source,
        )
        return found[self._is_class[found.labels]]


def _sheet_of_file(file: PlacedFile, pad_value: int | tuple[int, int, int]) -> Sheet[PlacedFile]:
    """The views of a file that was placed elsewhere; its image goes when they are drawn."""

    def draw(number: int, slot: Image) -> None:
        file.draw(number, slot, pad_value=pad_value)

    light = replace(file, canvases=(), image=None)
    return Sheet(light, file.path, file.views, draw, file.read, file.place)


def _draw_nothing(_number: int, _slot: Image) -> None:
    """Of an image that could not be read."""


def _timed(frames: Iterator[Frame]) -> Iterator[tuple[Frame, float]]:
    """Each frame, with the seconds that reading it took."""
    start = perf_counter()
    for frame in frames:
        yield frame, perf_counter() - start
        start = perf_counter()


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise InvalidValue("batch_size", batch_size, "one image or more")
