"""The predictor: images → crops → batches → candidates → detections."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from time import perf_counter
from typing import Any, Self

import numpy as np

from ..engines import Engine
from ..errors import InvalidSource, InvalidValue
from ..images import Frame, InferencePlan, prefetch, read_sources, to_rgb_array
from ..images.crops import NetworkInput, PreparedImage, make_crops, min_size
from ..images.preprocess import (
    THREADS,
    FilePreprocessor,
    FileTask,
    open_pool,
    plan_batches,
    run_ahead,
)
from ..images.read import MinSize
from ..images.sources import Prefetched
from ..postprocess import Ranked, Selection, rank
from ..specs import InputSpec
from ..specs.classes import HIDDEN, UNUSED_NAMES
from ..structures import Candidates, Detections, IntArray
from .pipeline import BufferPool, CropBatch, end_inside, make_batches, run_batches, select_crops


@dataclass(frozen=True)
class StageSeconds:
    """Where the time of an image went. The stages overlap, so an image takes less than their sum.

    An image that shared a batch counts its equal share.
    """

    read: float = 0.0
    preprocess: float = 0.0
    network: float = 0.0
    postprocess: float = 0.0


@dataclass(frozen=True)
class Prediction:
    """One image or frame, and what was found in it.

    Of `Predictor.stream_files`, `frame.index` is the file's place in the list, and the image itself
    is no longer in memory.
    """

    frame: Frame
    detections: Detections | None  # None where the frame could not be read: see `frame.problem`
    seconds: StageSeconds


STAGES = tuple(stage.name for stage in fields(StageSeconds))


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
            scores are near those of the whole image, not equal; `frame.reduced` tells of which.
            Never where it is cut into tiles.

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
        fast_decode: bool = False,
    ) -> None:
        self.engine = engine
        self.names = names
        self.input_spec = input_spec
        self.selection = (selection or Selection()).with_labels(names)
        self.plan = plan or InferencePlan()
        self.clip = clip
        self.fast_decode = fast_decode
        self.network_input = NetworkInput(
            engine.image_size, engine.size_divisor, input_spec.resize_mode, engine.whole_images
        )
        # COCO's unused ids are no classes; one `unused 12` alone is a class of somebody's own
        unused = UNUSED_NAMES if set(names) >= UNUSED_NAMES else frozenset[str]()
        self._is_class = np.array(
            [name not in unused and not name.startswith(HIDDEN) for name in names], np.bool_
        )
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
        prepared = self._prepare(Frame(name, to_rgb_array(image)), 0.0)
        buffers = BufferPool(self.engine)
        batches = self._batches(iter([prepared]), buffers, batch_size=1)
        (prediction,) = self._predictions(run_batches(batches, self.engine, buffers))
        if prediction.detections is None:
            raise InvalidSource(name or "image", "has no pixels")
        return prediction.detections

    def stream(
        self, sources: object, *, batch_size: int = 1, keep_images: bool = True
    ) -> Generator[Prediction, None, None]:
        """Find the objects in many images, one prediction after the other, in order.

        Images are read and preprocessed ahead, each in a thread of its own, while the network
        works; on a GPU the network too works ahead, while candidates are selected and the caller
        goes on. The threads end with the iterator, and a few batches are in memory at once.

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
        need = None if keep_images else self._min_size()
        frames = prefetch(_timed(read_sources(sources, min_size=need)), depth=batch_size + 1)
        prepared = (self._prepare(frame, seconds) for frame, seconds in frames)
        yield from self._stream(prepared, batch_size, frames)

    def stream_files(
        self,
        paths: Sequence[str | PathLike[str]],
        *,
        batch_size: int = 1,
        rectangular: bool = False,
        workers: int = 0,
    ) -> Generator[Prediction, None, None]:
        """Find the objects in a known list of image files, without keeping any image.

        Memory does not grow with the list. The processes or threads have ended when the iterator
        is at its end or closed (`contextlib.closing`).

        Args:
            paths: image files, one prediction each; `frame.index` is the place in this list.
            batch_size: views that the network sees at once: images, where each has one view.
            rectangular: put each batch on the smallest canvas on which its images are as large as
                on the square one: faster, and not the same to the last digit, as the network sees
                less padding. The predictions then come in the order of the images' shapes;
                `frame.index` tells which is which. Without, they come in the order of the list.
            workers: processes that read and preprocess; 0 for threads of this one. A script
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
        work = FilePreprocessor(self.plan, self.network_input, self.input_spec.pad_value)
        with open_pool(workers) as pool:
            tasks: Iterable[FileTask] = (
                plan_batches(names, self.network_input, pool, batch_size=batch_size)
                if rectangular
                else ((index, name, None) for index, name in enumerate(names))
            )
            ahead = batch_size + 2 * (workers or THREADS)
            yield from self._stream(run_ahead(tasks, work, pool, ahead=ahead), batch_size)

    def _stream(
        self, prepared: Iterator[PreparedImage], batch_size: int, *before: Prefetched[Any]
    ) -> Generator[Prediction, None, None]:
        """Everything that follows once images are read, in threads that end with the iterator."""
        buffers = BufferPool(self.engine)
        # closed, the iterator has let go of the engine: the last batch is waited for
        batches = prefetch(self._batches(prepared, buffers, batch_size), depth=1, patience=None)
        stages: list[Prefetched[Any]] = [*before, batches]
        results = run_batches(batches, self.engine, buffers)
        if self.engine.in_background:
            results = ahead = prefetch(results, depth=1, patience=None)
            stages.append(ahead)
        try:
            yield from self._predictions(results)
        finally:
            for stage in stages:  # the first one first: a stage that waits for it wakes
                stage.close()

    def _prepare(self, frame: Frame, seconds: float) -> PreparedImage:
        """The crops of a frame, which took that many seconds to read."""
        if frame.image is None or frame.size is None:
            return PreparedImage(frame, read=seconds)
        crops = make_crops(frame.size, self.plan, self.network_input)
        return PreparedImage(frame, crops, frame.image, read=seconds)

    def _batches(
        self, prepared: Iterator[PreparedImage], buffers: BufferPool, batch_size: int
    ) -> Iterator[CropBatch]:
        pad_value = self.input_spec.pad_value
        return make_batches(prepared, buffers, batch_size=batch_size, pad_value=pad_value)

    def _predictions(
        self, results: Iterable[tuple[CropBatch, Candidates | None, float]]
    ) -> Iterator[Prediction]:
        """Select among the candidates of each group of images."""
        parts: list[tuple[Ranked, IntArray]] = []
        spent = StageSeconds()
        for batch, candidates, network in results:
            start = perf_counter()
            if candidates is not None:
                whole = partial(end_inside, crops=batch.crops)
                keep = whole if self.plan.tile is not None else None
                ranked = rank(candidates, settings=self.selection, keep=keep)
                parts.append((ranked, batch.numbers))
            spent = StageSeconds(
                spent.read,
                spent.preprocess + batch.preprocess,
                spent.network + network,
                spent.postprocess + perf_counter() - start,
            )
            if batch.group:
                yield from self._finish(batch.group, parts, spent)
                parts, spent = [], StageSeconds()

    def _finish(
        self,
        group: Sequence[PreparedImage],
        parts: Sequence[tuple[Ranked, IntArray]],
        spent: StageSeconds,
    ) -> Iterator[Prediction]:
        """Hand each image of a group its own detections, and its share of the time."""
        start = perf_counter()
        selected = select_crops(
            parts, [image.crops for image in group], settings=self.selection, clip=self.clip
        )
        found = [
            self._detections(one, image) if image.crops else None
            for one, image in zip(selected, group, strict=True)
        ]
        share = 1 / len(group)
        seconds = StageSeconds(
            read=sum(image.read for image in group) * share,
            preprocess=(spent.preprocess + sum(one.preprocess for one in group)) * share,
            network=spent.network * share,
            postprocess=(spent.postprocess + perf_counter() - start) * share,
        )
        for image, detections in zip(group, found, strict=True):
            yield Prediction(image.frame, detections, seconds)

    def _min_size(self) -> MinSize | None:
        """How large an image must be at least to be preprocessed; None for all of it."""
        if not self.fast_decode:
            return None
        return partial(min_size, plan=self.plan, network_input=self.network_input)

    def _detections(self, selected: Ranked, image: PreparedImage) -> Detections:
        """What was selected of an image; ids without a class are dropped."""
        found = Detections(
            boxes=selected.boxes,
            scores=selected.scores,
            labels=selected.labels,
            names=self.names,
            image_size=image.crops[0].placement.image_size,
            source=image.frame.name,
        )
        return found[self._is_class[found.labels]]


def _timed(frames: Iterator[Frame]) -> Iterator[tuple[Frame, float]]:
    """Each frame, with the seconds that reading it took."""
    start = perf_counter()
    for frame in frames:
        yield frame, perf_counter() - start
        start = perf_counter()


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise InvalidValue("batch_size", batch_size, "one image or more")
