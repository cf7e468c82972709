"""ONNX Runtime as an engine: on the processor, and on a GPU where its package for that is there."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..errors import InvalidValue, MissingPackage
from ..io import count_cores
from ..specs.metadata import Metadata
from .contract import EngineSettings
from .file_engine import FileEngine, Outputs, check_graph, check_input, memory_for, run_errors
from .hardware import free_memory

ERRORS_ONLY, FATAL_ONLY = 3, 4
USUAL_BATCH = 8  # images at once, of a graph that takes any number
SHARE = 4  # of the free memory all graphs of a process may take one in so many, or what one needs
KINDS = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}


def open_onnxruntime(
    path: Path, metadata: Metadata, settings: EngineSettings, *, tensorrt: bool = False
) -> FileEngine:
    """An `.onnx` file in ONNX Runtime.

    Args:
        path: the file.
        metadata: of the file.
        settings: how to open it.
        tensorrt: through TensorRT, on a GPU.

    Raises:
        MissingPackage: ONNX Runtime is not installed.
        InvalidExport: it cannot read the file, or the file is not what its metadata says.
        InvalidValue: another precision than the file's, or a device that is not there.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise MissingPackage("onnxruntime", "The engine onnxruntime") from error
    if settings.precision not in (None, "auto", metadata.precision):
        raise InvalidValue(
            "precision",
            settings.precision,
            f"{metadata.precision}: ONNX Runtime computes a file in what it was exported in; "
            "--engine openvino has a choice",
        )
    providers, where = choose_providers(
        settings.device, onnxruntime.get_available_providers(), tensorrt=tensorrt
    )
    cores = settings.threads or count_cores()
    options = session_options(max(1, cores // settings.streams))
    pixels = prod(metadata.image_size) * (metadata.form.batch or USUAL_BATCH)
    bound_memory(options, memory_for(pixels, path.stat().st_size))
    with run_errors(str(path), "ONNX Runtime"):
        session = onnxruntime.InferenceSession(
            str(path), options, providers=providers, enable_fallback=0
        )
    _check(session, metadata, str(path))
    used = session.get_providers()[0].removesuffix("ExecutionProvider")
    if where != "CPU" and used == "CPU":
        raise InvalidValue("device", settings.device, "cpu: ONNX Runtime cannot use this GPU")
    threads = f"{cores} thread{'s' * (cores > 1)}, " if used == "CPU" else ""
    precision = "fp32" if metadata.precision == "bf16" and used == "CPU" else metadata.precision
    return FileEngine(
        metadata,
        OnnxSession(session, settings.streams),
        name="onnxruntime",
        precision=precision,
        source=str(path),
        image_size=settings.size,
        streams=settings.streams,
        description=f"onnxruntime {onnxruntime.__version__}, {used}, {precision}, "
        f"{threads}{settings.streams} stream{'s' * (settings.streams > 1)}",
    )


def session_options(threads: int) -> Any:
    """Options of a session of ONNX Runtime.

    Args:
        threads: that compute one graph. They wait for the next run asleep: spinning, they would
            keep a core from whatever comes between.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def bound_memory(options: Any, needed: int) -> None:
    """Let a session take its memory where all sessions of this process do, which has a bound.

    The first file decides about it: a quarter of the free memory, or what a network of its size may
    need. ONNX Runtime has no bound for one session; where the caller has set one, it stays.

    Args:
        options: of the session.
        needed: bytes that the first file may take.
    """
    import onnxruntime

    free = free_memory()
    most = needed if free is None else max(needed, free // SHARE)
    where = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    with suppress(Exception):  # there is one: its errors have no common base
        onnxruntime.create_and_register_allocator(where, onnxruntime.OrtArenaCfg(most, -1, -1, -1))
    options.add_session_config_entry("session.use_env_allocators", "1")


def choose_providers(
    device: str, available: list[str], *, tensorrt: bool = False
) -> tuple[list[Any], str]:
    """Which parts of ONNX Runtime run the graph, and what that is called.

    Args:
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        available: what this package of ONNX Runtime has.
        tensorrt: through TensorRT.

    Raises:
        InvalidValue: a device that it cannot use.
    """
    has_gpu = "CUDAExecutionProvider" in available
    kind, _, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (number and not number.isdigit()):
        raise InvalidValue("device", device, "auto, cpu, cuda or cuda:N")
    if tensorrt and "TensorrtExecutionProvider" not in available:
        raise InvalidValue("engine", "tensorrt", "an ONNX Runtime with TensorRT, or a .engine file")
    if kind == "cpu" or (kind == "auto" and not has_gpu):
        return ["CPUExecutionProvider"], "CPU"
    if not has_gpu:
        raise InvalidValue("device", device, "cpu, or install onnxruntime-gpu")
    chosen = {"device_id": int(number or 0)}
    gpu: list[Any] = [("CUDAExecutionProvider", chosen)]
    if tensorrt:
        gpu.insert(0, ("TensorrtExecutionProvider", chosen))
    return [*gpu, "CPUExecutionProvider"], "GPU"


class OnnxSession:
    """A graph in ONNX Runtime; several streams are threads of ours that run it at once.

    Args:
        session: of ONNX Runtime.
        streams: runs at once.
    """

    def __init__(self, session: Any, streams: int) -> None:
        import onnxruntime

        self._session = session
        self._quiet = onnxruntime.RunOptions()  # what goes wrong is raised
        self._quiet.log_severity_level = FATAL_ONLY
        self._names = [output.name for output in session.get_outputs()]
        self._pool = ThreadPoolExecutor(streams, "scantling-stream") if streams > 1 else None

    def start(self, images: NDArray[Any]) -> Callable[[], Outputs]:
        """Begin on images; what is given back waits for the outputs, by name."""
        if self._pool is not None:
            return self._pool.submit(self._run, images).result
        outputs = self._run(images)
        return lambda: outputs

    def close(self) -> None:
        """End the threads: ours, and those of ONNX Runtime."""
        if self._pool is not None:
            self._pool.shutdown()
        self._session = None

    def _run(self, images: NDArray[Any]) -> Outputs:
        found = self._session.run(self._names, {"images": images}, self._quiet)
        return dict(zip(self._names, found, strict=True))


def _check(session: Any, metadata: Metadata, source: str) -> None:
    """Refuse a graph that is not what its metadata says."""
    inputs = session.get_inputs()
    outputs = [output.name for output in session.get_outputs()]
    check_graph(metadata, source, [one.name for one in inputs], outputs)
    shape = [side if isinstance(side, int) else None for side in inputs[0].shape]
    check_input(metadata, source, shape, KINDS.get(inputs[0].type, inputs[0].type))
