"""TensorRT: its entry in `FORMATS`, and the metadata in front of its plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InvalidExport
from ...io import find_foreign_file, open_regular, write_file
from .format import AGAIN, MAX_METADATA, Format, check_suffix

if TYPE_CHECKING:
    from ...checkpoints import Model
    from ...specs.metadata import Metadata

# Begins a .engine file; then 4 bytes of length, the metadata, the plan.
MAGIC = b"scantling engine\n"


def engine_header(metadata: Metadata) -> bytes:
    """The bytes of a `.engine` file in front of TensorRT's plan: magic, length, metadata."""
    data = metadata.model_dump_json().encode()
    return MAGIC + len(data).to_bytes(4, "little") + data


def read_metadata(path: Path) -> bytes:
    """The JSON of the metadata in a `.engine` file.

    Raises:
        InvalidExport: the file does not begin as `engine_header` writes it.
        OSError: it cannot be read.
    """
    with open_regular(path) as stream:
        head = stream.read(len(MAGIC) + 4)
        if not head.startswith(MAGIC) or len(head) < len(MAGIC) + 4:
            foreign = find_foreign_file(path)
            problem = f"it is {foreign}" if foreign else "it does not begin with metadata"
            raise InvalidExport(str(path), problem, AGAIN)
        length = int.from_bytes(head[len(MAGIC) :], "little")
        if length > MAX_METADATA:
            raise InvalidExport(str(path), f"its metadata claims {length:,} bytes", AGAIN)
        data = stream.read(length)
    if len(data) < length:
        raise InvalidExport(str(path), "it ends within its metadata", AGAIN)
    return data


def read_plan(path: Path) -> bytes:
    """TensorRT's plan from a `.engine` file.

    Raises:
        InvalidExport: the file does not begin as `engine_header` writes it.
    """
    return path.read_bytes()[len(MAGIC) + 4 + len(read_metadata(path)) :]


def _write(model: Model, metadata: Metadata, path: Path) -> None:
    from ..graphs.tensorrt_file import build_plan

    plan = build_plan(model, metadata)
    check_suffix(path, ".engine")
    write_file(path, engine_header(metadata) + plan)


TENSORRT = Format(
    suffix=".engine",
    write=_write,
    read_metadata=read_metadata,
    engines=("tensorrt",),
    precisions=("fp32", "fp16"),
    packages=("tensorrt", "onnx", "onnxscript"),
)
