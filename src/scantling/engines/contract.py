"""The interface of every engine, and the settings to open one with; loads no runtime."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import EngineUnusable, InvalidValue
from .hardware import PRECISIONS

if TYPE_CHECKING:
    from ..structures import Candidates, FloatArray, Image

MAX_STREAMS = 64
MAX_THREADS = 1024


class Pending(Protocol):
    """An answer that is on its way."""

    def result(self) -> Candidates:
        """Wait for it. The candidates are the caller's: nothing later writes into them.

        Raises:
            ScantlingError: the runtime failed.
        """
        ...


class Engine(Protocol):
    """A model made ready to predict.

    Attributes:
        name: `torch`, `onnxruntime`, `openvino` or `tensorrt`.
        precision: what it computes in.
        image_size: (height, width) of its usual input.
        size_divisor: it takes images of any size whose sides are multiples of this; None where it
            takes `image_size` only.
        whole_images: it takes images of every size as they are, and resizes them by itself; boxes
            are then in pixels of the image.
        in_background: it works best in a thread of its own, apart from the caller's.
        streams: batches that it works on at once.
        description: one line for people.
    """

    name: str
    precision: str
    image_size: tuple[int, int]
    size_divisor: int | None
    whole_images: bool
    in_background: bool
    streams: int
    description: str

    def new_batch(self, images: int, image_size: tuple[int, int] | None = None) -> Image:
        """An (images, H, W, 3) array to be filled and handed to the engine, in its best memory.

        Args:
            images: how many.
            image_size: (height, width); the usual one if None.

        Raises:
            ScantlingError: the engine takes no images of this size.
        """
        ...

    def __call__(self, images: Image) -> Candidates:
        """(N, H, W, 3) RGB images → their candidates, in pixels of images of that size.

        Raises:
            ScantlingError: the engine takes no images of this size.
        """
        ...

    def submit(self, images: Image) -> Pending:
        """Begin on (N, H, W, 3) images, which must stay as they are until the result is there.

        Results come in the order in which they were asked for.

        Raises:
            ScantlingError: the engine takes no images of this size.
        """
        ...

    def run(self, images: Image) -> dict[str, FloatArray]:
        """What the graph itself gives for (N, H, W, 3) images, by the names of its outputs.

        Raises:
            ScantlingError: the engine takes no images of this size.
        """
        ...

    def close(self) -> None:
        """Let go of threads and memory; the engine is of no use afterwards. Twice does no harm."""
        ...


@dataclass
class Lifetime:
    """Where and until when an engine is of use: in the process that opened it, until it is closed.

    Args:
        engine: its name.
        process: id of the process; a copy that comes out of a pickle is of the process it is in.
        closed: whether it is closed.
    """

    engine: str
    process: int = field(default_factory=os.getpid)
    closed: bool = False

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state | {"process": os.getpid()}

    @property
    def is_forked(self) -> bool:
        """Whether this process was forked from the engine's, without the threads of that."""
        return os.getpid() != self.process

    def check(self, *, may_be_forked: bool = False) -> None:
        """Refuse an engine that is closed, or would wait for ever for threads it does not have.

        Raises:
            EngineUnusable: it is of no use here, and why.
        """
        if self.closed:
            raise EngineUnusable(self.engine, "is closed", "Load the model again")
        if self.is_forked and not may_be_forked:
            raise EngineUnusable(
                self.engine,
                f"was opened in process {self.process}, from which this one was forked: its threads"
                " are there alone",
                "Load the model in each process, and let multiprocessing start them by 'spawn'",
            )


@dataclass(frozen=True)
class Ready:
    """An answer that is there already."""

    candidates: Candidates

    def result(self) -> Candidates:
        """The answer."""
        return self.candidates


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """What runs a network, where, and in which precision.

    Args:
        engine: `torch`, `onnxruntime`, `openvino`, `tensorrt`, or `auto`; see
            `scantling.engines.runtimes` for its rule.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: `fp32`, `bf16`, `fp16`; `auto` for the one that the device computes fastest in.
            If None, what a file is meant to be computed in; of a model, fp32.
        image_size: (height, width) of the usual input, or the side of a square; None for its own.
        threads: of the processor, in all; None for as many as it has cores.
        streams: batches to work on at once. One gives the shortest wait; with several an image
            takes longer, but more are done in a second.
        compile: of torch: compile a model first, see `TorchEngine`.
        convert: whether `auto` may convert a model for another runtime, which takes as long as some
            hundred images; without, it takes that runtime only where it was done before.
        cache: folder for what is made once; the user's own if None.

    Raises:
        InvalidValue: a device, a precision or a number that no machine has.
    """

    engine: str = "auto"
    device: str = "auto"
    precision: str | None = None
    image_size: int | tuple[int, int] | None = None
    threads: int | None = None
    streams: int = 1
    compile: bool = False
    convert: bool = True
    cache: Path | None = None

    def __post_init__(self) -> None:
        kind, colon, number = self.device.partition(":")
        if kind not in ("auto", "cpu", "cuda") or (
            colon and (kind != "cuda" or not number.isdigit())
        ):
            raise InvalidValue("device", self.device, "auto, cpu, cuda or cuda:N")
        if self.precision not in (None, "auto", *PRECISIONS):
            expected = f"one of {', '.join(PRECISIONS)}, or auto"
            raise InvalidValue("precision", self.precision, expected)
        if not 1 <= self.streams <= MAX_STREAMS:
            raise InvalidValue("streams", self.streams, f"a number from 1 to {MAX_STREAMS}")
        if self.threads is not None and not 1 <= self.threads <= MAX_THREADS:
            raise InvalidValue("threads", self.threads, f"a number from 1 to {MAX_THREADS}")

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) of the usual input, if it is set."""
        size = self.image_size
        return (size, size) if isinstance(size, int) else size
