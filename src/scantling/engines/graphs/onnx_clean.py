"""Tidying what PyTorch's ONNX exporter leaves behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def clean(model: onnx.ModelProto) -> None:
    """Take out where each operation is from, the names of files and of Python modules, in place."""
    graph = model.graph
    parts = (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer)
    for part in (model, graph, *parts):
        part.doc_string = ""
        del part.metadata_props[:]
