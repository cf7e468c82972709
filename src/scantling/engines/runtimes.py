"""The engines: one file for each, and a line in `ENGINES`. Nothing here loads a runtime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..specs.metadata import Metadata
from .contract import Engine, EngineSettings
from .hardware import has_package


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
