"""A model as an ONNX graph, made from its `torch.export` program."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ...checkpoints import Model
from ...errors import InvalidExport, MissingPackage
from ...io import write_file
from ...specs.metadata import KEY, Metadata
from ..files import output_names
from ..formats.format import check_suffix
from .graph import INPUT, ExportGraph, trace
from .nms_ops import keep_in_onnx
from .rewrite import MishForm

if TYPE_CHECKING:
    import onnx

OPSET = 18  # the first with Mish


def to_onnx(model: Model, metadata: Metadata, *, mish: MishForm = "sigmoid") -> onnx.ModelProto:
    """The model as an ONNX graph.

    Args:
        model: stays as it is.
        metadata: of this model; its precision is `fp32`, `fp16`, or `int8` for a graph that is yet
            to be quantised.
        mish: `sigmoid`, which ONNX Runtime computes fast, or `op`, a single operation.

    Raises:
        InvalidExport: the precision cannot be had.
        MissingPackage: onnx or onnxscript is not installed.
    """
    onnx, onnxscript = _import_onnx()
    if metadata.precision == "bf16":
        raise InvalidExport(
            metadata.spec.name,
            "ONNX Runtime has no bf16 convolutions on a processor",
            "Use fp32, fp16 or int8, or export to OpenVINO, which computes in bf16",
        )
    dtype = torch.float16 if metadata.precision == "fp16" else torch.float32
    program = trace(ExportGraph(model, metadata, mish=mish, dtype=dtype), metadata)
    names = output_names(metadata)
    opset = getattr(onnxscript, f"opset{OPSET}")
    exported = torch.onnx.export(
        program,
        dynamo=True,
        opset_version=OPSET,
        input_names=[INPUT],
        output_names=list(names),
        custom_translation_table={torch.ops.scantling.keep.default: keep_in_onnx(metadata, opset)},
        optimize=True,
        verbose=False,
    )
    made = exported.model_proto  # type: ignore[union-attr]
    _forget_origins(made)
    _name_sides(made, metadata)
    made.metadata_props.add(key=KEY, value=metadata.model_dump_json())
    onnx.checker.check_model(made)
    return made


def write_onnx(graph: onnx.ModelProto, path: Path) -> None:
    """Write an ONNX graph, of less than 2 GB, into one file.

    Args:
        graph: what `to_onnx` made, or the same quantised.
        path: ends in `.onnx`.

    Raises:
        InvalidExport: the path has another suffix.
        CannotWrite: nothing can be written there.
    """
    check_suffix(path, ".onnx")
    write_file(path, graph.SerializeToString(deterministic=True))


def _import_onnx() -> tuple[Any, Any]:
    try:
        import onnx
        import onnxscript  # PyTorch's exporter is written in it
    except ImportError as error:
        raise MissingPackage(error.name or "onnx", "An ONNX graph") from error
    return onnx, onnxscript


def _name_sides(model: onnx.ModelProto, metadata: Metadata) -> None:
    """Call the open sides of the input `batch`, `height` and `width`, wherever they appear."""
    graph, first = model.graph, 2 if metadata.form.takes == "float" else 1
    names: dict[str, str] = {}
    for axis, name in ((0, "batch"), (first, "height"), (first + 1, "width")):
        side = graph.input[0].type.tensor_type.shape.dim[axis]
        if side.dim_param:  # s90, or 32*s90 of a side that is a multiple
            factor, _, symbol = side.dim_param.rpartition("*")
            names[symbol] = f"({name}/{factor})" if factor else name
            side.dim_param = name
    for part in (*graph.value_info, *graph.output):
        for side in part.type.tensor_type.shape.dim:
            if side.dim_param:
                side.dim_param = re.sub(
                    r"[A-Za-z_]\w*", lambda symbol: names.get(symbol[0], symbol[0]), side.dim_param
                )


def _forget_origins(model: onnx.ModelProto) -> None:
    """Remove the names of files and of Python modules that operations are from, in place."""
    graph = model.graph
    parts = (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer)
    for part in (model, graph, *parts):
        part.doc_string = ""
        del part.metadata_props[:]
