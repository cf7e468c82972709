"""Opens an engine for a model or an exported file."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InvalidValue, ScantlingError
from ..specs.metadata import Metadata
from .contract import Engine, EngineSettings
from .files import read_metadata
from .hardware import find_processor, has_nvidia_gpu, has_package
from .runtimes import ENGINES, MODEL, Choice, choose_engine, find_installed

if TYPE_CHECKING:
    from ..checkpoints import Model

logger = logging.getLogger(__name__)


def open_engine(
    source: Model | Path | str,
    settings: EngineSettings | None = None,
    *,
    metadata: Metadata | None = None,
) -> Engine:
    """Make a model or an exported file ready to predict.

    Args:
        source: a model; or the path of an exported file, which says the rest itself.
        settings: how to run it.
        metadata: of the file, where it has been read already.

    Raises:
        InvalidExport: the file is damaged, or not what it says.
        InvalidValue: a setting that the engine or the machine does not have.
        MissingPackage: what runs it is not installed.
        UnknownName: there is no such engine.
    """
    settings = settings or EngineSettings()
    if isinstance(source, (str, Path)):
        path = Path(source)
        return _open_file(path, metadata or read_metadata(path), settings)
    return _open_model(source, settings)


def _open_file(path: Path, metadata: Metadata, settings: EngineSettings) -> Engine:
    kind = path.suffix.lower()
    gpu = settings.device.startswith("cuda")
    if settings.device == "auto" and kind == ".onnx":
        gpu = has_package("onnxruntime-gpu") and has_nvidia_gpu()
    choice = choose_engine(
        kind,
        asked=settings.engine,
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


def _open_model(model: Model, settings: EngineSettings) -> Engine:
    from .torch_engine import choose_device, choose_image_size

    on_gpu = choose_device(settings.device).type == "cuda"
    choose_image_size(model, settings.size)  # a mistake is told as torch would
    choice = choose_engine(
        MODEL,
        asked="torch" if settings.compile and settings.engine == "auto" else settings.engine,
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
        if settings.engine != "auto":
            raise
        logger.info(f"{choice.name} cannot run this model, so torch does: {_first_line(error)}")
        return _open_torch(model, Choice("torch", f"{choice.name} failed"), settings)


def _open_torch(model: Model, choice: Choice, settings: EngineSettings) -> Engine:
    from .torch_engine import TorchEngine

    opened = TorchEngine(model, settings)
    if settings.streams > 1:
        logger.info("torch works on one batch at a time, with all threads: one stream")
    _tell(opened, choice)
    return opened


def _open_converted(model: Model, choice: Choice, settings: EngineSettings) -> Engine:
    from .converted import convert

    own = replace(settings, image_size=settings.size or model.spec.image_size)
    path, metadata = convert(model, choice.name, own)
    return _open_chosen(choice, path, metadata, own)


def _tell(opened: Engine, choice: Choice) -> None:
    logger.info(f"engine {opened.description} ({choice.why})")


def _first_line(error: Exception) -> str:
    if isinstance(error, ScantlingError):
        return str(error)
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200] if lines else 'no reason given'}"
