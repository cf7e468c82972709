"""Images, folders, videos and streams → what is in them."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import Any, Literal

import numpy as np

from .checkpoints import load_model
from .data import Frame, place, prefetch, read_sources, to_rgb_array
from .data.letterbox import FITS
from .data.prefetch import Prefetched
from .engines import Engine
from .engines.torch_engine import TorchEngine, choose_device, choose_dtype
from .errors import InvalidValue
from .postprocess import Selected, Selection, select
from .specs import InputSpec
from .specs.coco import is_unused
from .structures import Candidates, Detections, Image, Placement


@dataclass(frozen=True)
class StageSeconds:
    """Where the time of an image went. The stages overlap, so an image takes less than their sum.

    An image that shared a batch counts its equal share.
    """

    read: float
    place: float
    network: float
    postprocess: float


@dataclass(frozen=True)
class Prediction:
    """One image or frame, and what was found in it."""

    frame: Frame
    detections: Detections | None  # None where the frame could not be read: see `frame.problem`
    seconds: StageSeconds


@dataclass(frozen=True)
class _Batch:
    """Frames on their way through the network."""

    frames: list[Frame]
    images: Image  # (N, H, W, 3): those of the frames that could be read
    placements: list[Placement]  # N
    read: float  # seconds
    place: float


class Predictor:
    """Finds objects in images: `predictor(image)` in one, `predictor.stream(sources)` in many.

    Args:
        engine: what runs the network.
        names: of the classes, by label.
        input_spec: how an image is made to fit the input.
        selection: which candidates become detections.
        clip: cut boxes off at the edge of the image.
    """

    def __init__(
        self,
        engine: Engine,
        names: tuple[str, ...],
        *,
        input_spec: InputSpec,
        selection: Selection | None = None,
        clip: bool = True,
    ) -> None:
        self.engine = engine
        self.names = names
        self.input_spec = input_spec
        self.selection = selection or Selection()
        self.clip = clip
        self._is_class = np.array([not is_unused(name) for name in names], np.bool_)

    def __call__(self, image: object) -> Detections:
        """Find the objects in one image.

        Args:
            image: a path, an (H, W, 3) uint8 RGB array, a PIL image, or the bytes of a file.

        Raises:
            InvalidSource: it cannot be read as an image.
        """
        pixels = to_rgb_array(image)
        images = self.engine.new_batch(1)
        placement = self._place(pixels, images[0])
        (selected,) = select(self.engine(images), settings=self.selection)
        return self._detections(selected, placement, source=_name(image))

    def stream(self, sources: object, *, batch_size: int = 1) -> Generator[Prediction, None, None]:
        """Find the objects in many images, one prediction after the other, in order.

        Images are read and placed ahead, each in a thread of its own, while the network works; on a
        GPU the network too works ahead, while candidates are selected and the caller goes on. The
        threads end with the iterator, and a few batches are in memory at once.

        Args:
            sources: one or several: images, folders, patterns, videos, lists, cameras, addresses,
                arrays; see `read_sources`. A generator is read as it comes.
            batch_size: images that the network sees at once.

        Raises:
            InvalidValue: `batch_size` is less than 1. What cannot be read is no error: its
                prediction says what is wrong.
        """
        if batch_size < 1:
            raise InvalidValue("batch_size", batch_size, "one image or more")
        buffers: SimpleQueue[Image] = SimpleQueue()
        frames = prefetch(_timed(read_sources(sources)), depth=batch_size + 1)
        batches = prefetch(self._batches(frames, batch_size, buffers), depth=1)
        stages: list[Prefetched[Any]] = [frames, batches]
        outcomes = self._run(batches, buffers)
        if self.engine.in_background:
            outcomes = ahead = prefetch(outcomes, depth=1)
            stages.append(ahead)
        try:
            for batch, candidates, network in outcomes:
                yield from self._predictions(batch, candidates, network)
        finally:
            for stage in stages:  # the first one first: a stage that waits for it wakes
                stage.close()

    def _batches(
        self,
        frames: Iterator[tuple[Frame, float]],
        batch_size: int,
        buffers: SimpleQueue[Image],
    ) -> Iterator[_Batch]:
        """Put frames onto batches, in memory that earlier batches no longer need."""
        while group := list(islice(frames, batch_size)):
            start = perf_counter()
            try:
                images = buffers.get_nowait()
            except Empty:
                images = self.engine.new_batch(batch_size)
            pixels = [frame.image for frame, _ in group if frame.image is not None]
            placements = list(map(self._place, pixels, images))
            yield _Batch(
                frames=[frame for frame, _ in group],
                images=images,
                placements=placements,
                read=sum(seconds for _, seconds in group),
                place=perf_counter() - start,
            )

    def _run(
        self, batches: Iterator[_Batch], buffers: SimpleQueue[Image]
    ) -> Iterator[tuple[_Batch, Candidates | None, float]]:
        """Run the network on each batch: the batch, its candidates, the seconds that it took."""
        for batch in batches:
            start = perf_counter()
            images = batch.images[: len(batch.placements)]
            candidates = self.engine(images) if len(images) else None
            buffers.put(batch.images)
            yield batch, candidates, perf_counter() - start

    def _predictions(
        self, batch: _Batch, candidates: Candidates | None, network: float
    ) -> Iterator[Prediction]:
        """Select among the candidates, and hand each frame its own."""
        start = perf_counter()
        selected = [] if candidates is None else select(candidates, settings=self.selection)
        sources = [frame.name for frame in batch.frames if frame.image is not None]
        found = map(self._detections, selected, batch.placements, sources)
        results = [None if frame.image is None else next(found) for frame in batch.frames]
        share = 1 / len(batch.frames)
        seconds = StageSeconds(
            read=batch.read * share,
            place=batch.place * share,
            network=network * share,
            postprocess=(perf_counter() - start) * share,
        )
        for frame, detections in zip(batch.frames, results, strict=True):
            yield Prediction(frame, detections, seconds)

    def _place(self, image: Image, slot: Image) -> Placement:
        """Put an image onto one slot of a batch."""
        size, how = self.engine.image_size, self.input_spec
        _, placement = place(image, size, fit=how.fit, fill=how.fill, out=slot)
        return placement

    def _detections(self, selected: Selected, placement: Placement, source: str) -> Detections:
        """What was selected, in pixels of the original image; ids without a class are dropped."""
        found = Detections(
            boxes=placement.undo(selected.boxes, clip=self.clip),
            scores=selected.scores,
            labels=selected.labels,
            names=self.names,
            image_size=placement.image_size,
            source=source,
        )
        return found[self._is_class[found.labels]]


def load(
    model: str | Path,
    *,
    weights: str | Path | None = None,
    names: str | Path | None = None,
    device: str = "auto",
    precision: str = "fp32",
    image_size: int | tuple[int, int] | None = None,
    fit: Literal["letterbox", "corner", "stretch"] | None = None,
    selection: Selection | None = None,
    clip: bool = True,
    cache: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> Predictor:
    """Get a model ready to find objects.

    >>> predictor = load("yolov4-tiny")  # doctest: +SKIP
    >>> predictor("dog.jpg").scores  # doctest: +SKIP

    Args:
        model: a name of the catalogue, or a `.cfg`, `.safetensors`, `.pt` or `.pth` file.
        weights: darknet weights, where the model needs them.
        names: a file of class names, one a line, where the model brings none.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: `fp32`, `bf16`, `fp16` or `auto`; see `TorchEngine`.
        image_size: (height, width) of the network's input, or the side of a square.
        fit: how an image is made to fit it; the model's own way if None.
        selection: which candidates become detections.
        clip: cut boxes off at the edge of the image.
        cache: folder for downloaded weights.
        progress: called with the bytes so far and in all while weights are downloaded.
        say: told what was found or concluded without being asked for.

    Raises:
        ScantlingError: the model, its files or a setting do not fit, and what to do about it.
    """
    choose_dtype(precision, choose_device(device))  # a mistake should not cost a download
    if fit is not None and fit not in FITS:
        raise InvalidValue("fit", fit, "one of " + ", ".join(FITS))
    loaded = load_model(
        model,
        weights=weights,
        names=names,
        cache=cache,
        progress=progress,
        say=say or (lambda _: None),
    )
    engine = TorchEngine(loaded, device=device, precision=precision, image_size=image_size)
    own = loaded.spec.input
    return Predictor(
        engine,
        loaded.names,
        input_spec=own.replace(fit=fit or own.fit),
        selection=selection,
        clip=clip,
    )


def predict(
    model: str | Path | Predictor,
    sources: object,
    *,
    batch_size: int = 1,
) -> Generator[Prediction, None, None]:
    """Find the objects in images, folders, videos and streams, one prediction after the other.

    >>> for prediction in predict("yolov4-tiny", "photos/"):  # doctest: +SKIP
    ...     print(prediction.frame.name, prediction.detections)

    Args:
        model: what `load` returned; or its first argument, to load with the defaults.
        sources: see `Predictor.stream`.
        batch_size: images that the network sees at once.

    Raises:
        ScantlingError: as `load` and `Predictor.stream`.
    """
    predictor = model if isinstance(model, Predictor) else load(model)
    return predictor.stream(sources, batch_size=batch_size)


def _timed(frames: Iterator[Frame]) -> Iterator[tuple[Frame, float]]:
    """Each frame, with the seconds that reading it took."""
    start = perf_counter()
    for frame in frames:
        yield frame, perf_counter() - start
        start = perf_counter()


def _name(image: object) -> str:
    """What an image handed over by itself is called: its path, or nothing."""
    return str(image) if isinstance(image, (str, Path)) else ""
