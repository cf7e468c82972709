"""An exported graph as an engine: batches cut to what the graph takes, and put together again."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import EngineUnusable, InvalidExport, InvalidValue, ScantlingError
from ..specs.metadata import Metadata
from ..structures import Candidates, FloatArray, Image
from .contract import Lifetime
from .files import as_candidates, output_names

Size = tuple[int, int]  # (height, width)
Outputs = dict[str, NDArray[Any]]
# What errors of runtimes have in front of what happened: colours, kinds, places in their source.
NOISE = re.compile(
    r"\x1b\[[0-9;]*m|\[ONNXRuntimeError\] : \d+ : \w+ : |\S+\.(?:cc|cpp|hpp|h):\d+ (?:.*\) )?"
)
# Memory that running a file may take: networks of ours need less than 1 KiB for a pixel.
LEAST_MEMORY = 2 << 30  # bytes
PIXEL_MEMORY = 2048  # bytes for a pixel of the input
WEIGHTS_MEMORY = 8  # times the size of the file


class Session(Protocol):
    """A graph in one runtime."""

    def start(self, images: NDArray[Any]) -> Callable[[], Outputs]:
        """Begin on what the graph takes; what is given back waits for the outputs, by name.

        `images` stays as it is until then, and the outputs are the caller's.
        """
        ...

    def close(self) -> None:
        """Let go of threads and memory, when what was begun is done."""
        ...


@dataclass(frozen=True)
class Running:
    """Parts of a batch that are being worked on."""

    engine: "FileEngine"
    parts: list[Callable[[], Outputs]]
    images: Image  # held until the result is there: the runtime may read from it
    image_size: Size

    def outputs(self) -> Outputs:
        """Wait for what the graph gives, for the whole batch."""
        with run_errors(self.engine.source, self.engine.name):
            done = [part() for part in self.parts]
        count = len(self.images)
        names = output_names(self.engine.metadata)
        if len(done) == 1:
            return {name: done[0][name][:count] for name in names}
        return {name: np.concatenate([one[name] for one in done])[:count] for name in names}

    def result(self) -> Candidates:
        """Wait for the candidates."""
        return as_candidates(self.outputs(), self.engine.metadata, self.image_size)


class FileEngine:
    """An exported graph, ready to predict.

    A graph with a fixed batch is run as often as it takes, in all its streams at once, and the last
    time with images that are left over.

    Args:
        metadata: of the file.
        session: the graph in its runtime.
        name: of the runtime.
        precision: what it computes in.
        image_size: (height, width) of the usual input; the metadata's if None.
        streams: batches at once.
        description: one line for people.
        source: what errors call it; the metadata's if empty.

    Raises:
        InvalidValue: the graph takes no images of this size.
    """

    def __init__(
        self,
        metadata: Metadata,
        session: Session,
        *,
        name: str,
        precision: str,
        image_size: Size | None = None,
        streams: int = 1,
        description: str = "",
        source: str = "",
    ) -> None:
        self.metadata = metadata
        self.name = name
        self.precision = precision
        self.streams = streams
        self.description = description
        self.source = source or metadata.source
        self.whole_images = metadata.form.takes == "image"
        self.size_divisor: int | None = metadata.size_divisor if metadata.form.any_size else None
        self.in_background = True  # every runtime has threads of its own
        self._session = session
        self._lifetime = Lifetime(name)
        self._fullest: dict[Size, int] = {}
        self.image_size = metadata.image_size
        if image_size is not None:
            self._check(image_size)
            self.image_size = image_size

    def new_batch(self, images: int, image_size: Size | None = None) -> Image:
        """An (images, H, W, 3) array to be filled and handed to the engine.

        Raises:
            InvalidValue: the graph takes no images of this size.
        """
        size = self.image_size if image_size is None else image_size
        self._check(size)
        return np.zeros((images, *size, 3), np.uint8)

    def __call__(self, images: Image) -> Candidates:
        """(N, H, W, 3) uint8 RGB images → their candidates, on numpy arrays.

        Raises:
            InvalidValue: the graph takes no images of this size.
            InvalidExport: it gives something else than its metadata says, or cannot be run.
        """
        return self.submit(images).result()

    def run(self, images: Image) -> dict[str, FloatArray]:
        """What the graph itself gives for (N, H, W, 3) images, by the names of its outputs.

        Raises:
            InvalidValue: the graph takes no images of this size.
        """
        return self.submit(images).outputs()

    def submit(self, images: Image) -> Running:
        """Begin on images, which must stay as they are until the result is there.

        Raises:
            InvalidValue: the graph takes no images of this size.
        """
        size = (images.shape[1], images.shape[2])
        self._check(size)
        batch = self._batch_for(len(images), size)
        with run_errors(self.source, self.name):
            parts = [
                self._session.start(self._feed(images[start : start + batch], batch))
                for start in range(0, len(images), batch)
            ]
        return Running(self, parts, images, size)

    def close(self) -> None:
        """Let go of threads and memory; the engine is of no use afterwards."""
        if not self._lifetime.closed and not self._lifetime.is_forked:
            self._session.close()
        self._lifetime.closed = True

    def __reduce__(self) -> NoReturn:
        raise EngineUnusable(
            self.name,
            "cannot be pickled or copied: its threads and memory belong to its process",
            "Load the model in each process",
        )

    def _batch_for(self, images: int, size: Size) -> int:
        """How many images the graph is given at once."""
        if self.metadata.form.batch is not None:
            return self.metadata.form.batch
        if images == 1 or self.streams > 1:  # streams share images out better than a batch does
            return 1
        # A runtime prepares for every number of images anew: what is left over is filled up.
        fullest = max(images, self._fullest.get(size, 0))
        self._fullest[size] = fullest
        return fullest

    def _feed(self, images: Image, batch: int) -> NDArray[Any]:
        """Images as the graph takes them, as many as it takes."""
        if len(images) < batch:
            full = np.zeros((batch, *images.shape[1:]), np.uint8)
            full[: len(images)] = images
            images = full
        if self.metadata.form.takes == "float":
            planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)
            planes /= 255
            return planes
        return np.require(images, requirements=("C", "W"))  # OpenVINO takes no read-only memory

    def _check(self, size: Size) -> None:
        self._lifetime.check()
        if self.whole_images:
            if min(size) < 1:
                raise InvalidValue("image_size", size, "sides of one pixel or more")
            return
        if self.size_divisor is None:
            if size != self.metadata.image_size:
                height, width = self.metadata.image_size
                raise InvalidValue(
                    "image_size",
                    size,
                    f"({height}, {width}), the only one that {self.metadata.source} was exported "
                    "for; or export it for any size",
                )
        elif min(size) < 1 or size[0] % self.size_divisor or size[1] % self.size_divisor:
            raise InvalidValue("image_size", size, f"multiples of {self.size_divisor}")


@contextmanager
def run_errors(source: str, runtime: str) -> Iterator[None]:
    """Around what runs a file: whatever its runtime raises is told as trouble with that file.

    Raises:
        InvalidExport: it failed, and why.
    """
    try:
        yield
    except ScantlingError:
        raise
    except Exception as error:  # those of the runtimes have no common base
        problem = f"{runtime} cannot run it: {short_reason(error)}"
        raise InvalidExport(
            source, problem, "Export the model again, or try another engine"
        ) from error


def short_reason(error: Exception) -> str:
    """What happened, in one line, out of an error of a runtime.

    >>> short_reason(RuntimeError("Check 'a' failed at src/core/node.cpp:12:\\nno such shape"))
    'no such shape'
    """
    lines = [line.strip() for line in NOISE.sub("", str(error)).splitlines() if line.strip()]
    # ONNX Runtime says first what happened, OpenVINO last
    told = lines[0 if "ONNXRuntimeError" in str(error) else -1] if lines else ""
    nothing = "there is no memory for it" if isinstance(error, MemoryError) else ""
    return told[:300] or nothing or type(error).__name__


def memory_for(pixels: int, file_size: int) -> int:
    """Bytes that running a file may take at once: more than any network of its input size needs.

    Args:
        pixels: of all images that it is given at once.
        file_size: bytes of its weights.
    """
    return max(LEAST_MEMORY, PIXEL_MEMORY * pixels + WEIGHTS_MEMORY * file_size)


def check_graph(metadata: Metadata, source: str, inputs: list[str], outputs: list[str]) -> None:
    """Refuse a graph whose ends have other names than its metadata says.

    Raises:
        InvalidExport: what it has, and what it should have.
    """
    wanted = list(output_names(metadata))
    if inputs != ["images"]:
        raise InvalidExport(
            source, f"the graph takes {_list(inputs)}, not images alone", "Export the model again"
        )
    if sorted(outputs) != sorted(wanted):
        problem = f"the graph gives {_list(outputs)}, its metadata says {_list(wanted)}"
        raise InvalidExport(source, problem, "Export the model again")


def check_input(metadata: Metadata, source: str, shape: list[int | None], kind: str) -> None:
    """Refuse a graph that takes images of another shape than its metadata says.

    Args:
        metadata: of the file.
        source: what an error calls it.
        shape: of the input; None for a side that may be anything.
        kind: `uint8` or `float32`, of its numbers. A side may be open where the metadata says a
            number.

    Raises:
        InvalidExport: what it takes, and what it should take.
    """
    form = metadata.form
    sides: list[int | None] = [None, None]
    if form.takes != "image" and not form.any_size:
        sides = list(metadata.image_size)
    wanted = [form.batch, 3, *sides] if form.takes == "float" else [form.batch, *sides, 3]
    number = "float32" if form.takes == "float" else "uint8"
    same = len(shape) == len(wanted) and all(
        side in (None, due) for side, due in zip(shape, wanted, strict=True)
    )
    if not same or kind != number:
        problem = (
            f"the graph takes {kind} {_sides(shape)}, its metadata says {number} {_sides(wanted)}"
        )
        raise InvalidExport(source, problem, "Export the model again")


def _sides(shape: list[int | None]) -> str:
    return " × ".join("any" if side is None else str(side) for side in shape)


def _list(names: list[str]) -> str:
    return ", ".join(name[:60] for name in names[:10]) or "nothing"
