"""A model as a graph that other runtimes run: ONNX, OpenVINO."""

from .graph import ExportGraph
from .metadata import fingerprint, make_metadata
from .onnx_file import to_onnx, write_onnx
from .openvino_file import to_openvino, write_openvino

__all__ = [
    "ExportGraph",
    "fingerprint",
    "make_metadata",
    "to_onnx",
    "to_openvino",
    "write_onnx",
    "write_openvino",
]
