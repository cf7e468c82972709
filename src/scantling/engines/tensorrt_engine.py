"""TensorRT as the engine of a `.engine` file, on a GPU of NVIDIA.

A plan holds code for one kind of GPU. It is never allowed to bring code for the host along, which
is TensorRT's own default too; the metadata in front of it is read without TensorRT.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidExport, InvalidValue, MissingPackage
from ..specs.metadata import Metadata
from .contract import EngineSettings
from .file_engine import FileEngine, Outputs, check_graph
from .formats.tensorrt import read_plan


def open_tensorrt(path: Path, metadata: Metadata, settings: EngineSettings) -> FileEngine:
    """A `.engine` file in TensorRT 10 or later.

    Raises:
        MissingPackage: TensorRT, or torch, which keeps its memory, is not installed.
        InvalidExport: the plan is of another GPU or version, or not what its metadata says.
        InvalidValue: another precision than the file's, or no such GPU.
    """
    try:
        import tensorrt
        import torch
    except ModuleNotFoundError as error:
        raise MissingPackage(str(error.name), "To run a .engine file") from error
    if settings.precision not in (None, "auto", metadata.precision):
        expected = f"{metadata.precision}, in which the file was exported"
        raise InvalidValue("precision", settings.precision, expected)
    if settings.device == "cpu" or not torch.cuda.is_available():
        raise InvalidValue("device", settings.device, "a GPU, for a .engine file")
    device = torch.device("cuda" if settings.device == "auto" else settings.device)
    with torch.cuda.device(device):
        runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.ERROR))
        plan = runtime.deserialize_cuda_engine(read_plan(path))
        if plan is None:
            problem = "its plan is of another GPU or another version of TensorRT"
            raise InvalidExport(str(path), problem, "Export the model on this machine")
        names = [plan.get_tensor_name(index) for index in range(plan.num_io_tensors)]
        inputs = [
            name for name in names if plan.get_tensor_mode(name) == tensorrt.TensorIOMode.INPUT
        ]
        outputs = [name for name in names if name not in inputs]
        check_graph(metadata, str(path), inputs, outputs)
        session = TensorRtSession(plan, outputs, device, settings.streams)
    where = torch.cuda.get_device_name(device)
    return FileEngine(
        metadata,
        session,
        name="tensorrt",
        source=str(path),
        precision=metadata.precision,
        image_size=settings.size,
        streams=settings.streams,
        description=f"tensorrt {tensorrt.__version__}, {where}, {metadata.precision}, "
        f"{settings.streams} stream{'s' * (settings.streams > 1)}",
    )


class TensorRtSession:
    """A plan with a context and a CUDA stream for each batch that is on its way.

    Args:
        plan: of TensorRT.
        outputs: names of what it gives.
        device: of torch.
        streams: batches at once.
    """

    def __init__(self, plan: Any, outputs: list[str], device: Any, streams: int) -> None:
        import torch

        self._plan = plan
        self._outputs = outputs
        self._device = device
        self._contexts = [plan.create_execution_context() for _ in range(streams)]
        cuda: Any = torch.cuda  # whose streams have no types
        self._streams = [cuda.Stream(device) for _ in range(streams)]
        self._next = 0
        self._lock = threading.Lock()

    def start(self, images: NDArray[Any]) -> Callable[[], Outputs]:
        """Begin on images; what is given back waits for the outputs, by name."""
        import torch

        with self._lock:
            context, stream = self._contexts[self._next], self._streams[self._next]
            self._next = (self._next + 1) % len(self._contexts)
            # a context works on one batch at a time, and its memory is in use until then
            stream.synchronize()
            with torch.cuda.stream(stream):
                given = torch.from_numpy(images).to(self._device, non_blocking=True)
                if not context.set_input_shape("images", tuple(given.shape)):
                    raise InvalidValue("images", images.shape, "a shape that the plan was made for")
                context.set_tensor_address("images", given.data_ptr())
                buffers = {name: self._buffer(context, name) for name in self._outputs}
                if not context.execute_async_v3(stream.cuda_stream):
                    raise InvalidExport("plan", "TensorRT cannot run it", "Export the model again")
                answers = {
                    name: buffer.to("cpu", non_blocking=True) for name, buffer in buffers.items()
                }
            done = stream.record_event()

        def wait() -> Outputs:
            done.synchronize()
            held.clear()
            return {name: answer.float().numpy() for name, answer in answers.items()}

        held = [given, *buffers.values()]  # memory of the GPU, in use until then
        return wait

    def close(self) -> None:
        """Let go of the contexts and the plan, when the GPU is done with them."""
        for stream in self._streams:
            stream.synchronize()
        self._contexts.clear()
        self._plan = None

    def _buffer(self, context: Any, name: str) -> Any:
        """Memory of the GPU for one output."""
        import tensorrt
        import torch

        kind = np.dtype(tensorrt.nptype(self._plan.get_tensor_dtype(name)))
        shape = tuple(context.get_tensor_shape(name))
        buffer = torch.empty(shape, dtype=getattr(torch, kind.name), device=self._device)
        context.set_tensor_address(name, buffer.data_ptr())
        return buffer
