"""The engines: the table, the rule of `auto`, and opening one. Loads no runtime before, nor NumPy.

An exported file runs in the runtime it was made for. Of an ONNX file, OpenVINO is that on an x86
processor; ONNX Runtime is on other processors and on a GPU. A model runs in torch on a GPU; on a
processor in OpenVINO, where it is installed, else in torch; for an image or two that are not worth
a conversion, in OpenVINO only where the model was converted before. TensorRT is only used when it
is asked for: it takes minutes to prepare.

The figures behind it: on two cores of an Intel Xeon with AMX, OpenVINO was 0.9 (EfficientDet) to
2.5 times (networks with Mish) as fast as ONNX Runtime in fp32; 1.8 to 2.4 times as fast as eager
torch in fp32, 2.8 to 5.6 times in bf16. On two of an AMD EPYC without AMX it was 1.0 to 1.3 times
as fast as ONNX Runtime, 1.7 to 3.7 times as eager torch, in bf16 3.2 to 6 times
(docs/benchmarks.md). Elsewhere the order may be another: `scantling benchmark`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InvalidValue, MissingPackage, ScantlingError, lookup
from ..lazy import import_late
from .contract import Engine, EngineSettings
from .formats import FORMATS, Format
from .hardware import find_processor, has_nvidia_gpu, has_package

if TYPE_CHECKING:
    from ..checkpoints import Model
    from ..specs.metadata import Metadata

logger = logging.getLogger(__name__)


MODEL = "model"  # what is no file
X86 = ("x86_64", "AMD64", "x86", "i686")


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """An engine as the table has it.

    Args:
        packages: any of which brings it.
        open_file: (path, its metadata, settings) → the engine of an exported file; None where it
            runs none.
        format: key of `FORMATS` to which a model is converted that is to run in it; None where
            models need no conversion, or are not to be converted unasked.
    """

    packages: tuple[str, ...]
    open_file: Callable[[Path, Metadata, EngineSettings], Engine] | None = None
    format: str | None = None


def find_format(path: str | Path) -> Format | None:
    """The format of a file, by its suffix; None where it is of none."""
    suffix = Path(path).suffix.lower()
    return next((one for one in FORMATS.values() if one.suffix == suffix), None)


def is_exported(path: str | Path) -> bool:
    """Whether a file is, by its suffix, one that `scantling export` writes, or wrote (`.pt2`)."""
    return find_format(path) is not None or Path(path).suffix.lower() == ".pt2"


def find_installed() -> frozenset[str]:
    """The engines whose package is installed."""
    return frozenset(name for name, one in ENGINES.items() if any(map(has_package, one.packages)))


def _open_tensorrt(path: Path, metadata: Metadata, settings: EngineSettings) -> Engine:
    if path.suffix.lower() == ".onnx":
        from .onnxruntime_engine import open_onnxruntime

        return open_onnxruntime(path, metadata, settings, tensorrt=True)
    from .tensorrt_engine import open_tensorrt

    return open_tensorrt(path, metadata, settings)


# Every engine, by the name that `--engine` takes; `FORMATS` says which run a format.
ENGINES: dict[str, Runtime] = {
    "torch": Runtime(packages=("torch",)),
    "openvino": Runtime(
        packages=("openvino",),
        open_file=import_late(__package__, "openvino_engine", "open_openvino"),
        format="openvino",
    ),
    "onnxruntime": Runtime(
        packages=("onnxruntime", "onnxruntime-gpu"),
        open_file=import_late(__package__, "onnxruntime_engine", "open_onnxruntime"),
        format="onnx",
    ),
    "tensorrt": Runtime(packages=("tensorrt", "onnxruntime-gpu"), open_file=_open_tensorrt),
}


@dataclass(frozen=True)
class Choice:
    """An engine, and why it."""

    name: str
    why: str


def engines_for(kind: str) -> tuple[str, ...]:
    """The engines that run a model (`MODEL`), or files of a suffix.

    Raises:
        InvalidValue: none runs such files.
    """
    if kind == MODEL:
        return tuple(name for name, one in ENGINES.items() if one.format or one.open_file is None)
    found = find_format(f"file{kind}")
    if found is None or not found.engines:
        raise InvalidValue("model", kind, "a file of a format that an engine here runs")
    return found.engines


def check_engine(name: str) -> str:
    """The same name, which is `auto` or that of an engine.

    Raises:
        UnknownName: it is neither.
    """
    lookup({**ENGINES, "auto": None}, name, "engine")
    return name


def choose_engine(
    kind: str, *, asked: str = "auto", installed: Collection[str], on_gpu: bool, architecture: str
) -> Choice:
    """The engine for a source, by the rule above.

    Args:
        kind: `MODEL`, or the suffix of an exported file.
        asked: an engine, or `auto`.
        installed: engines whose package is installed.
        on_gpu: whether the network is to run on a GPU.
        architecture: of the processor.

    Raises:
        UnknownName: there is no such engine.
        InvalidValue: the engine cannot run what was given.
        MissingPackage: it can, but is not installed.
    """
    able = engines_for(kind)
    what = "a model" if kind == MODEL else f"a {kind} file"
    if asked != "auto":
        check_engine(asked)
        if asked not in able:
            raise InvalidValue("engine", asked, f"auto, or what runs {what}: {', '.join(able)}")
        chosen = Choice(asked, "as asked")
    elif len(able) == 1:
        chosen = Choice(able[0], f"the one that runs {what}")
    elif kind == MODEL:
        chosen = _for_model(installed, on_gpu)
    elif {"onnxruntime", "openvino"} <= set(able):
        chosen = _for_onnx(installed, on_gpu, architecture)
    else:
        name = next((one for one in able if one in installed), able[0])
        chosen = Choice(name, f"the first that runs {what} and is installed")
    if chosen.name not in installed:
        raise MissingPackage(
            ENGINES[chosen.name].packages[0], f"To run {what}, the engine {chosen.name}"
        )
    return chosen


def _for_model(installed: Collection[str], on_gpu: bool) -> Choice:
    if on_gpu:
        return Choice("torch", "the fastest on a GPU without preparing the model first")
    if "openvino" in installed:
        return Choice("openvino", "usually the fastest on a processor")
    return Choice(
        "torch",
        "openvino is not installed; on a processor it is usually faster: pip install openvino",
    )


def _for_onnx(installed: Collection[str], on_gpu: bool, architecture: str) -> Choice:
    if on_gpu:
        return Choice("onnxruntime", "the one that runs a .onnx file on a GPU")
    if "openvino" not in installed:
        return Choice("onnxruntime", "openvino is not installed")
    if "onnxruntime" not in installed:
        return Choice("openvino", "onnxruntime is not installed")
    if architecture in X86:
        return Choice("openvino", "usually as fast as onnxruntime or faster on an x86 processor")
    return Choice("onnxruntime", "made for .onnx files, on a processor that is not x86")


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
        metadata: of a file, where it has been read already.

    Raises:
        InvalidExport: the file is damaged, or not what it says.
        InvalidValue: a setting that the engine or the machine does not have.
        MissingPackage: what runs it is not installed.
        UnknownName: there is no such engine.
    """
    settings = settings or EngineSettings()
    if isinstance(source, (str, Path)):
        from .files import read_metadata

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
    return open_chosen(choice, path, metadata, settings)


def open_chosen(choice: Choice, path: Path, metadata: Metadata, settings: EngineSettings) -> Engine:
    """Open an exported file in the engine that was chosen for it."""
    open_file = ENGINES[choice.name].open_file
    if open_file is None:
        raise InvalidValue("engine", choice.name, f"another: it runs no {path.suffix} file")
    opened = open_file(path, metadata, settings)
    _tell(opened, choice)
    return opened


def _open_model(model: Model, settings: EngineSettings) -> Engine:
    from .torch_engine import choose_device, choose_image_size

    if settings.engine == "torch":
        return _open_torch(model, Choice("torch", "as asked"), settings)
    on_gpu = choose_device(settings.device).type == "cuda"
    choose_image_size(model, settings.size)  # a mistake is told as torch would
    choice = choose_engine(
        MODEL,
        asked="torch" if settings.compile and settings.engine == "auto" else settings.engine,
        installed=find_installed(),
        on_gpu=on_gpu,
        architecture=find_processor().architecture,
    )
    if choice.name != "torch" and _needs_conversion(model, choice, settings):
        choice = Choice("torch", f"sooner done than a conversion for {choice.name}")
    if choice.name == "torch":
        return _open_torch(model, choice, settings)
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
    chosen = FORMATS[ENGINES[choice.name].format or ""]
    path, metadata = convert(model, chosen, own)
    return open_chosen(choice, path, metadata, own)


def _needs_conversion(model: Model, choice: Choice, settings: EngineSettings) -> bool:
    """Whether a model was never converted for an engine, and is not to be."""
    from .converted import is_converted

    own = replace(settings, image_size=settings.size or model.spec.image_size)
    chosen = FORMATS[ENGINES[choice.name].format or ""]
    return (
        settings.engine == "auto" and not settings.convert and not is_converted(model, chosen, own)
    )


def _tell(opened: Engine, choice: Choice) -> None:
    logger.info(f"engine {opened.description} ({choice.why})")


def _first_line(error: Exception) -> str:
    if isinstance(error, ScantlingError):
        return str(error)
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200] if lines else 'no reason given'}"
