"""The formats that a model can be exported to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from ..checkpoints import Model
from ..engines.graphs import (
    to_onnx,
    to_openvino,
    write_onnx,
    write_openvino,
)
from ..errors import InvalidValue, MissingPackage, lookup
from ..specs.metadata import Metadata
from .bf16_openvino import draft_bf16
from .int8_onnx import draft_onnx
from .int8_openvino import draft_openvino
from .quantizable import Draft, Progress
from .tensorrt import write_tensorrt


@dataclass(frozen=True)
class Format:
    """How a model is written in one format.

    Args:
        suffix: of the file.
        engine: that the file is made for, by which it is verified.
        write: makes it.
        packages: that have to be installed, by the extra of ours that brings them (None: none).
        extra: see `packages`.
        precisions: that can be had.
        others: suffixes of the files that are written beside it, which have to appear first.
        drafts: by precision, makes a graph of which labelled images decide what is rounded.
        int8_packages: that INT8 needs besides.
    """

    suffix: str
    engine: str
    write: Callable[[Model, Metadata, Path], None]
    packages: tuple[str, ...] = ()
    extra: str | None = None
    precisions: tuple[str, ...] = ("fp32",)
    others: tuple[str, ...] = ()
    drafts: Mapping[str, Callable[[Model, Metadata, Progress], Draft]] = field(default_factory=dict)
    int8_packages: tuple[str, ...] = ()


# Every format: write(model, metadata, path), drafts[precision](model, metadata, progress).
FORMATS: dict[str, Format] = {
    "onnx": Format(
        suffix=".onnx",
        engine="onnxruntime",
        write=lambda model, metadata, path: write_onnx(to_onnx(model, metadata), path),
        packages=("onnx", "onnxscript", "onnxruntime"),
        extra="onnx",
        precisions=("fp32", "fp16", "int8"),
        drafts={"int8": draft_onnx},
    ),
    "openvino": Format(
        suffix=".xml",
        engine="openvino",
        write=lambda model, metadata, path: write_openvino(to_openvino(model, metadata), path),
        packages=("openvino",),
        extra="openvino",
        precisions=("fp32", "fp16", "bf16", "int8"),
        others=(".bin",),
        drafts={"int8": draft_openvino, "bf16": draft_bf16},
        int8_packages=("nncf",),
    ),
    "tensorrt": Format(
        suffix=".engine",
        engine="tensorrt",
        write=write_tensorrt,
        packages=("tensorrt", "onnx", "onnxscript"),
        precisions=("fp32", "fp16"),
    ),
}


def choose_format(to: str, precision: str) -> Format:
    """The format of that name, once what it needs is known to be there.

    Raises:
        InvalidValue: it cannot hold this precision.
        MissingPackage: a package is not installed.
        UnknownName: there is no such format.
    """
    chosen = lookup(FORMATS, to, "export format")
    if precision not in chosen.precisions:
        able = [name for name, one in FORMATS.items() if precision in one.precisions]
        expected = f"one that {to} can hold: {', '.join(chosen.precisions)}"
        if able:
            expected += f"; or --to {' or '.join(able)}"
        raise InvalidValue("precision", precision, expected)
    for package in chosen.packages:
        _require(package, f"An export to {to}", chosen.extra)
    if precision == "int8":
        for package in chosen.int8_packages:
            _require(package, f"INT8 for {to}", chosen.extra)
    return chosen


def _require(package: str, feature: str, extra: str | None) -> None:
    if find_spec(package) is None:
        raise MissingPackage(package, feature, extra=extra)
