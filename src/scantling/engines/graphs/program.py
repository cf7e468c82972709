"""A model traced by `torch.export`: the program that ONNX and OpenVINO graphs are made from."""

import torch
from torch import fx

from ...specs.metadata import Metadata
from .graph import ExportGraph

LARGEST = 1 << 15  # side of an image, in pixels
# What the exporter remembers of the Python code that a graph was made from.
_ORIGINS = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node", "custom")


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
