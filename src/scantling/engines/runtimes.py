"""The engines: one file for each, a line in `ENGINES`; and the rule of `auto`. Loads no runtime.

An exported file runs in the runtime it was made for. Of an ONNX file, OpenVINO is that on an x86
processor; ONNX Runtime is on other processors and on a GPU. A model runs in torch on a GPU; on a
processor in OpenVINO, where it is installed, else in torch. TensorRT is only used when it is asked
for: it takes minutes to prepare.

The figures behind it: on two cores of an Intel Xeon with AMX, OpenVINO was 0.9 (EfficientDet) to
2.5 times (networks with Mish) as fast as ONNX Runtime in fp32; 1.8 to 2.4 times as fast as eager
torch in fp32, 2.8 to 5.6 times in bf16. On two of an AMD EPYC without AMX it was 1.0 to 1.3 times
as fast as ONNX Runtime, 1.7 to 3.7 times as eager torch, in bf16 3.2 to 6 times
(docs/benchmarks.md). Elsewhere the order may be another: `scantling benchmark`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidValue, MissingPackage, lookup
from ..specs.metadata import Metadata
from .contract import Engine, EngineSettings
from .formats import find_format
from .hardware import has_package

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


def find_installed() -> frozenset[str]:
    """The engines whose package is installed."""
    return frozenset(name for name, one in ENGINES.items() if any(map(has_package, one.packages)))


def _open_onnxruntime(path: Path, metadata: Metadata, settings: EngineSettings) -> Engine:
    from .onnxruntime_engine import open_onnxruntime

    return open_onnxruntime(path, metadata, settings)


def _open_openvino(path: Path, metadata: Metadata, settings: EngineSettings) -> Engine:
    from .openvino_engine import open_openvino

    return open_openvino(path, metadata, settings)


def _open_tensorrt(path: Path, metadata: Metadata, settings: EngineSettings) -> Engine:
    if path.suffix.lower() == ".onnx":
        from .onnxruntime_engine import open_onnxruntime

        return open_onnxruntime(path, metadata, settings, tensorrt=True)
    from .tensorrt_engine import open_tensorrt

    return open_tensorrt(path, metadata, settings)


# Every engine, by the name that `--engine` takes; `FORMATS` says which run a format.
ENGINES: dict[str, Runtime] = {
    "torch": Runtime(packages=("torch",)),
    "openvino": Runtime(packages=("openvino",), open_file=_open_openvino, format="openvino"),
    "onnxruntime": Runtime(
        packages=("onnxruntime", "onnxruntime-gpu"), open_file=_open_onnxruntime, format="onnx"
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


def choose_engine(
    kind: str,
    *,
    asked: str = "auto",
    installed: Collection[str],
    on_gpu: bool,
    architecture: str,
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
        lookup({**ENGINES, "auto": None}, asked, "engine")
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
