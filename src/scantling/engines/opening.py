"""Opens an engine for a model or an exported file."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InvalidValue, ScantlingError
from ..specs.metadata import Metadata
from .choice import MODEL, Choice, choose_engine
from .contract import Engine, EngineSettings
from .files import read_metadata
from .hardware import find_processor, has_nvidia_gpu, has_package
from .runtimes import ENGINES, find_installed

if TYPE_CHECKING:
    from ..checkpoints import Model

logger = logging.getLogger(__name__)

MAX_STREAMS = 64
MAX_THREADS = 1024


def open_engine(
    source: Model | Path | str,
    *,
    engine: str = "auto",
    device: str = "auto",
    precision: str | None = None,
    image_size: int | tuple[int, int] | None = None,
    threads: int | None = None,
    streams: int = 1,
    compile: bool = False,  # noqa: A002 - what torch calls it
    cache: Path | None = None,
) -> Engine:
    """Make a model or an exported file ready to predict.

    Args:
        source: a model; or the path of an exported file, which says the rest itself.
        engine: a key of `ENGINES`, or `auto`; see `scantling.engines.choice` for its rule.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: `fp32`, `bf16`, `fp16`; `auto` for the one that the device computes fastest in.
            If None, what a file is meant to be computed in; of a model, fp32.
        image_size: (height, width) of the usual input, or the side of a square; None for its own.
        threads: of the processor, in all; None for as many as it has cores.
        streams: batches to work on at once. One gives the shortest wait; with several an image
            takes longer, but more are done in a second.
        compile: of torch: compile a model first, see `TorchEngine`.
        cache: folder for what is made once; the user's own if None.

    Raises:
        InvalidExport: the file is damaged, or not what it says.
        InvalidValue: a setting that the engine or the machine does not have.
        MissingPackage: what runs it is not installed.
        UnknownName: there is no such engine.
    """
    if not 1 <= streams <= MAX_STREAMS:
        raise InvalidValue("streams", streams, f"a number from 1 to {MAX_STREAMS}")
    if threads is not None and not 1 <= threads <= MAX_THREADS:
        raise InvalidValue("threads", threads, f"a number from 1 to {MAX_THREADS}")
    settings = EngineSettings(
        device=device,
        precision=precision,
        image_size=(image_size, image_size) if isinstance(image_size, int) else image_size,
        threads=threads,
        streams=streams,
        compile=compile,
        cache=cache,
    )
    return (
        _open_file(Path(source), engine, settings)
        if isinstance(source, (str, Path))
        else _open_model(source, engine, settings)
    )


def _open_file(path: Path, asked: str, settings: EngineSettings) -> Engine:
    metadata = read_metadata(path)
    kind = path.suffix.lower()
    gpu = settings.device.startswith("cuda")
    if settings.device == "auto" and kind == ".onnx":
        gpu = has_package("onnxruntime-gpu") and has_nvidia_gpu()
    choice = choose_engine(
        kind,
        asked=asked,
        installed=find_installed(),
        on_gpu=gpu,
        architecture=find_processor().architecture,
    )
    if choice.name == "openvino" and gpu and settings.device != "auto":
        expected = "cpu or auto: the engine openvino runs on the processor"
        raise InvalidValue("device", settings.device, expected)
    return _open_chosen(choice, path, metadata, settings)


def _open_chosen(
    choice: Choice, path: Path, metadata: Metadata, settings: EngineSettings
) -> Engine:
    """Open an exported file in the engine that was chosen for it."""
    open_file = ENGINES[choice.name].open_file
    if open_file is None:
        raise InvalidValue("engine", choice.name, f"another: it runs no {path.suffix} file")
    opened = open_file(path, metadata, settings)
    _tell(opened, choice)
    return opened


def _open_model(model: Model, asked: str, settings: EngineSettings) -> Engine:
    from .torch_engine import choose_device, choose_image_size

    on_gpu = choose_device(settings.device).type == "cuda"
    if settings.image_size is not None:
        choose_image_size(model, settings.image_size)  # a mistake is told as torch would
    choice = choose_engine(
        MODEL,
        asked="torch" if settings.compile and asked == "auto" else asked,
        installed=find_installed(),
        on_gpu=on_gpu,
        architecture=find_processor().architecture,
    )
    if choice.name == "torch":
        return _open_torch(model, choice, settings)
    if on_gpu and choice.name == "openvino" and settings.device != "auto":
        expected = "cpu or auto: the engine openvino runs on the processor"
        raise InvalidValue("device", settings.device, expected)
    try:
        return _open_converted(model, choice, settings)
    except InvalidValue:
        raise
    except Exception as error:  # whatever a converter raises
        if asked != "auto":
            raise
        logger.info(f"{choice.name} cannot run this model, so torch does: {_first_line(error)}")
        return _open_torch(model, Choice("torch", f"{choice.name} failed"), settings)


def _open_torch(model: Model, choice: Choice, settings: EngineSettings) -> Engine:
    from .torch_engine import TorchEngine

    opened = TorchEngine(
        model,
        device=settings.device,
        precision=settings.precision or "fp32",
        image_size=settings.image_size,
        threads=settings.threads,
        compile=settings.compile,
    )
    if settings.streams > 1:
        logger.info("torch works on one batch at a time, with all threads: one stream")
    _tell(opened, choice)
    return opened


def _open_converted(model: Model, choice: Choice, settings: EngineSettings) -> Engine:
    from .converted import convert

    own = replace(settings, image_size=settings.image_size or model.spec.image_size)
    path, metadata = convert(model, choice.name, own)
    return _open_chosen(choice, path, metadata, own)


def _tell(opened: Engine, choice: Choice) -> None:
    logger.info(f"engine {opened.description} ({choice.why})")


def _first_line(error: Exception) -> str:
    if isinstance(error, ScantlingError):
        return str(error)
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200] if lines else 'no reason given'}"
