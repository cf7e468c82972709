"""What every engine offers, whatever runtime is behind it; none of this loads one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..structures import Candidates, FloatArray, Image


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
        whole_images: it takes images of every size as they are, and fits them by itself; boxes are
            then in pixels of the image.
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
        """Let go of threads and memory; the engine is of no use afterwards."""
        ...


@dataclass(frozen=True)
class Ready:
    """An answer that is there already."""

    candidates: Candidates

    def result(self) -> Candidates:
        """The answer."""
        return self.candidates


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """How an engine is to be opened.

    Args:
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: `fp32`, `bf16`, `fp16`, `auto`; None for a file's own, fp32 of a model.
        image_size: (height, width); None for the usual one.
        threads: processor threads in all; None for as many as there are cores.
        streams: batches at once.
        compile: of torch: compile the network first.
        cache: folder for what can be made again.
    """

    device: str = "auto"
    precision: str | None = None
    image_size: tuple[int, int] | None = None
    threads: int | None = None
    streams: int = 1
    compile: bool = False
    cache: Path | None = None
