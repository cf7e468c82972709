"""OpenVINO as an engine: one stream for the shortest wait, several for the most images."""

import ctypes
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cache import can_keep, make_room
from ..errors import InvalidValue, MissingPackage, counted
from ..io import default_cache
from ..specs.metadata import Metadata
from .contract import EngineSettings, Lifetime
from .file_engine import FileEngine, Outputs, check_graph, check_input, memory_for, run_errors
from .hardware import find_processor, free_memory
from .openvino_requests import Requests
from .precision import choose_arithmetic, fast_precision

KEPT = 12  # shapes of input that stay compiled; each has copies of the weights
SPARE = 4  # times the weights of a model that a compiled copy may take
HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}


def open_openvino(path: Path, metadata: Metadata, settings: EngineSettings) -> FileEngine:
    """An `.xml` or `.onnx` file in OpenVINO, on the processor.

    Raises:
        MissingPackage: OpenVINO is not installed.
        InvalidExport: it cannot read the file, or the file is not what its metadata says.
        InvalidValue: the processor lacks the precision that was asked for, or a GPU was.
    """
    if settings.device.startswith("cuda"):
        expected = "cpu or auto: the engine openvino runs on the processor"
        raise InvalidValue("device", settings.device, expected)
    openvino = import_openvino("The engine openvino")
    processor = find_processor()
    arithmetic = choose_arithmetic(
        settings.precision,
        metadata.precision,
        processor,
        partial(fast_precision, "openvino", cache=settings.cache),
    )
    cores = settings.threads or processor.cores
    properties: dict[str, Any] = {
        # Never left to OpenVINO, which takes bf16 wherever it can without a word.
        "INFERENCE_PRECISION_HINT": HINTS[arithmetic.floats],
        "NUM_STREAMS": str(settings.streams),
        "INFERENCE_NUM_THREADS": cores,
    }
    _first_use().check()
    core = openvino.Core()
    weights = path.with_suffix(".bin") if path.suffix == ".xml" else path
    folder = _cache_folder(settings.cache, SPARE * weights.stat().st_size)
    if folder is not None:
        core.set_property({"CACHE_DIR": str(folder)})
    with run_errors(str(path), "OpenVINO"):
        model = core.read_model(path)
        _check(model, metadata, str(path))
        size = weights.stat().st_size
        session = OpenVinoSession(core, model, metadata, properties, settings.streams, size, folder)
    how = f"{counted(cores, 'thread')}, {counted(settings.streams, 'stream')}"
    return FileEngine(
        metadata,
        session,
        name="openvino",
        source=str(path),
        precision=arithmetic.name,
        image_size=settings.size,
        streams=settings.streams,
        description=f"openvino {openvino.__version__.split('-')[0]}, CPU, {arithmetic}, {how}",
    )


@cache
def _first_use() -> Lifetime:
    """Where OpenVINO was first used; opened in a process forked after that, it ends Python."""
    return Lifetime("openvino")


class OpenVinoSession:
    """A model that is compiled for every shape of input it meets, and requests to it.

    Args:
        core: of OpenVINO.
        model: as it was read.
        metadata: of the file.
        properties: for compiling.
        streams: requests at once.
        file_size: bytes of its weights.
        kept: folder that OpenVINO keeps compiled models in, which is held to the cache's budget.
    """

    def __init__(
        self,
        core: Any,
        model: Any,
        metadata: Metadata,
        properties: dict[str, Any],
        streams: int,
        file_size: int,
        kept: Path | None = None,
    ) -> None:
        self._kept = kept
        self._file_size = file_size
        self._core = core
        self._model = model
        self._names = [_name(output) for output in model.outputs]
        self._properties = properties
        self._streams = streams
        self._static = not model.is_dynamic()
        self._fixed = metadata.form.takes != "image"
        self._compiled: OrderedDict[tuple[int, ...], Requests] = OrderedDict()
        self._lock = threading.Lock()
        if self._static:  # so that what is wrong with it is told at once
            self._requests_for(tuple(model.inputs[0].shape))

    def start(self, images: NDArray[Any]) -> Callable[[], Outputs]:
        """Begin on images; what is given back waits for the outputs, by name."""
        with self._lock:
            return self._requests_for(images.shape).start(images)

    def close(self) -> None:
        """Let go of what was compiled, and of the threads, which are the core's."""
        with self._lock:
            for requests in self._compiled.values():
                requests.settle()
            self._compiled.clear()
            self._model = self._core = None

    def _requests_for(self, shape: tuple[int, ...]) -> Requests:
        """Requests to the model compiled for one shape; for any, where images come whole."""
        key = shape if self._fixed else ()
        found = self._compiled.get(key)
        if found is None:
            model = self._model
            if self._fixed and not self._static:
                model = self._model.clone()
                model.reshape({"images": list(shape)})
            most, free = memory_for(prod(shape), self._file_size), free_memory()
            check_maps(model, most if free is None else min(most, free))
            with keep_signal_stack():
                compiled = self._core.compile_model(model, "CPU", self._properties)
            if self._kept is not None:
                make_room(self._kept.parent)
            found = self._compiled[key] = Requests(compiled, self._names, self._streams)
            if len(self._compiled) > KEPT:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(key)
        return found


def check_maps(model: Any, most: int) -> None:
    """Refuse a graph whose maps, as far as their sizes are known, take more memory than that.

    Args:
        model: with the shape of its input.
        most: bytes.

    Raises:
        MemoryError: what they take.
    """
    if sum(_bytes_of(output) for one in model.get_ops() for output in one.outputs()) <= most:
        return
    live: dict[Any, int] = {}  # bytes of the outputs that somebody has yet to read
    readers: dict[Any, int] = {}
    for operation in model.get_ordered_ops():
        for output in operation.outputs():
            place = (operation.get_name(), output.get_index())
            live[place] = _bytes_of(output)
            readers[place] = len(output.get_target_inputs())
        taken = sum(live.values())
        if taken > most:
            raise MemoryError(f"its maps take {taken:,} bytes at once, {most:,} are the most")
        for given in operation.input_values():
            place = (given.get_node().get_name(), given.get_index())
            readers[place] -= 1
            if readers[place] == 0:
                del live[place]


def _bytes_of(output: Any) -> int:
    """Bytes of what an operation gives; 0 of a constant, which the file holds, or an open shape."""
    shape = output.get_partial_shape()
    if output.get_node().get_type_name() == "Constant" or not shape.is_static:
        return 0
    return int(prod(output.get_shape()) * output.get_element_type().size)


def _check(model: Any, metadata: Metadata, source: str) -> None:
    """Refuse a model that is not what its metadata says."""
    inputs = [_name(one) for one in model.inputs]
    check_graph(metadata, source, inputs, [_name(one) for one in model.outputs])
    images = model.inputs[0]
    shape = [
        int(side.get_length()) if side.is_static else None for side in images.get_partial_shape()
    ]
    kind = images.element_type.to_dtype()
    check_input(metadata, source, shape, np.dtype(kind).name)


def _name(port: Any) -> str:
    names = sorted(port.get_names())
    return names[0] if names else ""


def _cache_folder(cache: Path | None, needed: int) -> Path | None:
    """Where compiled models are kept; None where nothing can be written."""
    folder = (cache or default_cache()) / "openvino"
    return folder if can_keep(folder, needed) else None


class _Stack(ctypes.Structure):
    """`stack_t` of Linux."""

    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


def import_openvino(feature: str) -> Any:
    """The package openvino, which reports to nobody that it was imported.

    Args:
        feature: what needs it, for the message.

    Raises:
        MissingPackage: it is not installed.
    """
    try:
        with without_telemetry():
            import openvino
    except ImportError as error:
        raise MissingPackage("openvino", feature) from error
    return openvino


@contextmanager
def without_telemetry() -> Iterator[None]:
    """Import OpenVINO or NNCF in here: neither finds the package that they report their use by.

    With it, both send every import and every conversion to their makers, over the network and in
    processes of their own, unless the user has refused beforehand.
    """
    package = "openvino_telemetry"
    known = package in sys.modules
    if not known:
        sys.modules[package] = None  # type: ignore[assignment]  # an ImportError to who asks
    try:
        yield
    finally:
        if not known:
            del sys.modules[package]


@contextmanager
def keep_signal_stack() -> Iterator[None]:
    """Give the calling thread the stack for signals back that it had before.

    `compile_model` gives it another one (seen in OpenVINO 2026.4 on Linux) and lets go of it later.
    The next signal that has a handler, such as Ctrl-C or the end of a process of a data loader,
    would then end Python with a segmentation fault. See sigaltstack(2).
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    library, before = ctypes.CDLL(None), _Stack()
    known = library.sigaltstack(None, ctypes.byref(before)) == 0
    try:
        yield
    finally:
        if known:
            library.sigaltstack(ctypes.byref(before), None)
