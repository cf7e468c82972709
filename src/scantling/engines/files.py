"""Exported files: which they are, and what they say of themselves, without any runtime.

Reading metadata runs nothing of the file and takes bounded time and memory, whatever is in it.
"""

from pathlib import Path

from pydantic import ValidationError

from ..errors import InvalidExport
from ..specs.metadata import KEY, PT2_ADVICE, Metadata
from . import ir_file, onnx_file

EXPORTED = (".onnx", ".xml", ".engine")
MAX_CARD = 4 << 20  # bytes; metadata has a few thousand
MAX_SIDE = 8192  # pixels of an input
MAGIC = (
    b"scantling engine\n"  # begins a .engine file; then 4 bytes of length, the metadata, the plan
)
AGAIN = "Export the model again with `scantling export`"


def is_exported(path: str | Path) -> bool:
    """Whether a file is, by its suffix, one that `scantling export` writes, or wrote (`.pt2`)."""
    return Path(path).suffix.lower() in (*EXPORTED, ".pt2")


def read_metadata(path: str | Path) -> Metadata:
    """What an exported file says of itself.

    Raises:
        InvalidExport: there is no such file, it is damaged or not of this kind, it carries no
            metadata or some that contradicts itself, or it asks for what an exported file
            never needs: other files, code, control flow.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".pt2":
        raise InvalidExport(str(path), "programs of torch.export are no longer read", PT2_ADVICE)
    if suffix not in EXPORTED:
        known = ", ".join(EXPORTED)
        raise InvalidExport(
            str(path), f"its suffix is {suffix!r}", f"Name a file that ends {known}"
        )
    if not path.is_file():
        raise InvalidExport(str(path), "there is no such file", "Check the name")
    try:
        told = READERS[suffix](path)
    except OSError as error:
        problem = f"it cannot be read: {error.strerror or error}"
        raise InvalidExport(str(path), problem, "Check the file") from error
    if told is None:
        raise InvalidExport(str(path), "it says nothing of the model in it", AGAIN)
    return parse_metadata(told, str(path))


def parse_metadata(told: str | bytes, source: str) -> Metadata:
    """A metadata from its JSON.

    Raises:
        InvalidExport: it is none.
    """
    if len(told) > MAX_CARD:
        raise InvalidExport(source, f"its metadata has {len(told):,} bytes", AGAIN)
    try:
        metadata = Metadata.model_validate_json(told)
    except (ValidationError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidExport(
            source, f"its metadata does not hold: {_first(error)}", AGAIN
        ) from error
    if max(metadata.image_size) > MAX_SIDE:
        problem = f"its input has {metadata.image_size[0]} by {metadata.image_size[1]} pixels"
        raise InvalidExport(source, problem, f"Sides of {MAX_SIDE} pixels are the most")
    return metadata


def engine_header(metadata: Metadata) -> bytes:
    """What a `.engine` file begins with, in front of TensorRT's plan."""
    told = metadata.model_dump_json().encode()
    return MAGIC + len(told).to_bytes(4, "little") + told


def read_plan(path: Path) -> bytes:
    """TensorRT's plan from a `.engine` file.

    Raises:
        InvalidExport: the file does not begin as `engine_header` writes it.
    """
    data = path.read_bytes()
    told = _engine_metadata(path)
    return data[len(MAGIC) + 4 + len(told) :]


def _engine_metadata(path: Path) -> bytes:
    with path.open("rb") as stream:
        head = stream.read(len(MAGIC) + 4)
        if not head.startswith(MAGIC) or len(head) < len(MAGIC) + 4:
            raise InvalidExport(str(path), "it does not begin with metadata", AGAIN)
        length = int.from_bytes(head[len(MAGIC) :], "little")
        if length > MAX_CARD:
            raise InvalidExport(str(path), f"its metadata claims {length:,} bytes", AGAIN)
        told = stream.read(length)
    if len(told) < length:
        raise InvalidExport(str(path), "it ends within its metadata", AGAIN)
    return told


def _first(error: Exception) -> str:
    """The first thing that is wrong with metadata."""
    if isinstance(error, ValidationError):
        one = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in one["loc"])[:100]
        return f"{where}: {one['msg'][:200]}" if where else str(one["msg"])[:200]
    return str(error)[:200]


# How the metadata is found in each kind of file: reader(path) → JSON, None where there is none.
READERS = {
    ".onnx": lambda path: onnx_file.read_entry(path, KEY),
    ".xml": lambda path: ir_file.read_entry(path, KEY),
    ".engine": _engine_metadata,
}
