"""The formats of exported files: one file for each, and a line in `FORMATS`.

Nothing here loads torch or a runtime.
"""

from pathlib import Path

from .format import Format
from .onnx import ONNX
from .openvino import OPENVINO
from .tensorrt import TENSORRT

__all__ = ["FORMATS", "Format", "find_format", "is_exported"]

# Every format, by the name that `export` takes. Export, reading metadata, the choice of the engine
# and the command line go by what its entry says.
FORMATS: dict[str, Format] = {
    "openvino": OPENVINO,
    "onnx": ONNX,
    "tensorrt": TENSORRT,
}


def find_format(path: str | Path) -> Format | None:
    """The format of a file, by its suffix; None where it is of none."""
    suffix = Path(path).suffix.lower()
    return next((one for one in FORMATS.values() if one.suffix == suffix), None)


def is_exported(path: str | Path) -> bool:
    """Whether a file is, by its suffix, one that `scantling export` writes, or wrote (`.pt2`)."""
    return find_format(path) is not None or Path(path).suffix.lower() == ".pt2"
