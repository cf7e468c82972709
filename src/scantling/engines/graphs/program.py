"""A model as a `torch.export` program: a format of its own, and what the others are made from."""

from pathlib import Path

import torch
from torch import fx

from ...checkpoints import Model
from ...errors import InvalidExport
from ...specs.metadata import KEY, Metadata
from .files import replace_files
from .graph import ExportGraph

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
ENTRY = f"{KEY}.json"  # the metadata, among the extra files of the archive
LARGEST = 1 << 15  # side of an image, in pixels
# What the exporter remembers of the Python code that a graph was made from.
_ORIGINS = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node", "custom")


def to_torch_export(model: Model, metadata: Metadata) -> torch.export.ExportedProgram:
    """The model as a program of PyTorch's own operations; PyTorch alone can run it.

    Args:
        model: stays as it is.
        metadata: of this model; of its precisions all but `int8` can be had.

    Raises:
        InvalidExport: the precision cannot be had.
    """
    if metadata.precision not in DTYPES:
        raise InvalidExport(
            metadata.spec.name,
            f"a torch.export program cannot be computed in {metadata.precision}",
            "Use fp32, fp16 or bf16, or export to OpenVINO or ONNX",
        )
    program = trace(ExportGraph(model, metadata, dtype=DTYPES[metadata.precision]), metadata)
    program.graph_module.meta[KEY] = metadata.model_dump_json()
    return program


def write_torch_export(graph: torch.export.ExportedProgram, path: Path) -> None:
    """Write what `to_torch_export` made, its metadata inside. Whole or not at all.

    Args:
        graph: stays as it is.
        path: ends in `.pt2`.

    Raises:
        InvalidExport: the path has another suffix, or nothing can be written there.
    """
    extra = {ENTRY: graph.graph_module.meta[KEY]}
    with replace_files(path, suffix=".pt2") as draft:
        torch.export.save(graph, draft, extra_files=extra)


def trace(graph: ExportGraph, metadata: Metadata) -> torch.export.ExportedProgram:
    """Record what a graph does, for all the shapes that its metadata allows.

    Args:
        graph: of this metadata.
        metadata: its form says which sides are open.
    """
    example, shapes = _example(metadata)
    with torch.no_grad():
        program = torch.export.export(graph, (example,), dynamic_shapes={"images": shapes})
    program._example_inputs = None  # they would be written into the file
    for module in program.graph_module.modules():
        if isinstance(module, fx.GraphModule):
            _forget_origins(module)
    return program


def _example(metadata: Metadata) -> tuple[torch.Tensor, dict[int, object]]:
    """An input of the metadata's form, and its open sides by axis."""
    form, open_ = metadata.form, dict[int, object]()
    images = 2 if form.batch is None else form.batch
    height, width = metadata.image_size
    first = 2 if form.takes == "float" else 1
    if form.batch is None:
        open_[0] = torch.export.Dim("batch", min=1, max=1024)
    if form.any_size:
        # sides apart from one another and from a single cell, which would be taken for the rule
        stride = metadata.size_divisor
        height, width = 2 * stride, 3 * stride
        open_[first] = stride * torch.export.Dim("rows", min=1, max=LARGEST // stride)
        open_[first + 1] = stride * torch.export.Dim("columns", min=1, max=LARGEST // stride)
    if form.takes == "image":
        height, width = 480, 640
        open_[1] = torch.export.Dim("height", min=1, max=LARGEST)
        open_[2] = torch.export.Dim("width", min=1, max=LARGEST)
    if form.takes == "float":
        return torch.zeros(images, 3, height, width), open_
    return torch.zeros(images, height, width, 3, dtype=torch.uint8), open_


def _forget_origins(module: fx.GraphModule) -> None:
    """Leave no trace of this machine's files in what was recorded."""
    for node in module.graph.nodes:
        for key in _ORIGINS:
            node.meta.pop(key, None)
