"""The formats of exported files: one file for each, and a line in `FORMATS`.

Nothing here loads torch or a runtime.
"""

from .format import Format
from .onnx import ONNX
from .openvino import OPENVINO
from .tensorrt import TENSORRT

__all__ = ["FORMATS", "Format"]

# Every format, by the name that `export` takes. Export, reading metadata, the choice of the engine
# and the command line go by what its entry says.
FORMATS: dict[str, Format] = {"openvino": OPENVINO, "onnx": ONNX, "tensorrt": TENSORRT}
