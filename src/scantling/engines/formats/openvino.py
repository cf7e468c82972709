"""OpenVINO: its entry in `FORMATS`, and a reader of metadata that checks the file without it.

OpenVINO reads the same file after this, with a parser of its own, so what that one could take
otherwise is refused: encodings but UTF-8, parts that come twice. It knows operations by their names
in any case.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from xml.parsers import expat

from ...errors import InvalidExport
from ...io import find_foreign_file, open_regular
from ...lazy import import_late
from .format import AGAIN, Format

if TYPE_CHECKING:
    from ...checkpoints import Model
    from ...specs.metadata import Metadata
    from ..graphs.quantizable import Progress, QuantizableGraph

MAX_BYTES = 128 << 20
MAX_ELEMENTS = 3_000_000
MAX_DEPTH = 24
MAX_ENTRY = 8 << 20  # characters of the metadata
LONGEST_TAG = 16 << 20  # bytes of an element's own text, which expat reads anew for each chunk
CHUNK = 4 << 20
VERSIONS = ("10", "11")  # others OpenVINO gives to its readers of other formats
SHARED = 16  # times the weights that all constants together may claim: equal ones lie together
SMALL = 1 << 20  # bytes that they may claim in any case
CONTROL_FLOW = frozenset(("if", "loop", "tensoriterator"))  # in small letters
BODIES = frozenset(("body", "then_body", "else_body"))


def read_metadata(path: Path) -> str | None:
    """The JSON of the metadata in an OpenVINO file; None where there is none.

    Raises:
        InvalidExport: the file is no OpenVINO model, declares entities, needs control flow or more
            weights than lie beside it, or there are none beside it.
        OSError: it cannot be read.
    """
    from ...specs.metadata import KEY

    source = str(path)
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise InvalidExport(source, f"it has {size:,} bytes", AGAIN)
    if foreign := find_foreign_file(path, may_be_xml=True):
        raise InvalidExport(source, f"it is {foreign}", AGAIN)
    weights = path.with_suffix(".bin")
    if not weights.is_file():
        problem = f"its weights, {weights.name}, do not lie beside it"
        raise InvalidExport(source, problem, "Copy the .xml and the .bin together")
    parser = expat.ParserCreate("utf-8")  # whatever the file declares
    walk = _Walk(parser, source, KEY, weights.stat().st_size)
    parser.StartElementHandler = walk.start
    parser.EndElementHandler = walk.end
    parser.XmlDeclHandler = walk.check_encoding
    parser.StartDoctypeDeclHandler = walk.refuse_doctype
    parser.EntityDeclHandler = walk.refuse_doctype
    try:
        with open_regular(path) as stream:
            walk.read(stream)
    except (expat.ExpatError, ValueError) as error:
        raise InvalidExport(source, f"it is not XML: {error}", AGAIN) from error
    if walk.layers == 0:
        raise InvalidExport(source, "it is no OpenVINO model", AGAIN)
    return walk.found


@dataclass
class _Walk:
    """Meets the elements of one file in turn."""

    parser: expat.XMLParserType
    source: str
    key: str
    weights: int  # bytes beside the file
    elements: int = 0
    layers: int = 0
    claimed: int = 0
    found: str | None = None

    def __post_init__(self) -> None:
        self._open: list[str] = []
        self._sections: set[str] = set()  # the elements within the outermost

    def read(self, stream: BinaryIO) -> None:
        """Parse a file, in time that its length bounds."""
        fed = 0
        while chunk := stream.read(CHUNK):
            self.parser.Parse(chunk, False)
            fed += len(chunk)
            if fed - self.parser.CurrentByteIndex > LONGEST_TAG:
                raise self.wrong(f"an element of it has more than {LONGEST_TAG:,} bytes")
        self.parser.Parse(b"", True)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.elements += 1
        self._open.append(name)
        if self.elements > MAX_ELEMENTS or len(self._open) > MAX_DEPTH:
            raise self.wrong("it has too many elements, or too many within one another")
        if self._open[0] != "net":
            raise self.wrong("it is no OpenVINO model")
        if len(self._open) == 1 and attributes.get("version") not in VERSIONS:
            raise self.wrong("it is no OpenVINO model of a version that is known")
        if len(self._open) == 2:
            if name in self._sections:
                raise self.wrong(f"it has the part {name[:60]!r} twice")
            self._sections.add(name)
        if self._open == ["net", "rt_info", self.key]:
            if self.found is not None:
                raise self.wrong("it says twice what model is in it")
            self.found = attributes.get("value", "")[: MAX_ENTRY + 1]
        elif name == "layer":
            self.layers += 1
            kind = attributes.get("type", "")
            if kind.casefold() in CONTROL_FLOW:
                raise self.wrong(f"it has control flow in it: {kind}")
        elif name.casefold() in BODIES:
            raise self.wrong("it has control flow in it: a graph within an operation")
        elif name == "data" and "offset" in attributes and "size" in attributes:
            self.check_weights(attributes["offset"], attributes["size"])

    def end(self, _name: str) -> None:
        self._open.pop()

    def check_weights(self, offset: str, size: str) -> None:
        """Whether a constant lies within the weights."""
        plain = offset.isascii() and size.isascii() and offset.isdigit() and size.isdigit()
        if not plain or len(offset) > 18 or len(size) > 18:
            raise self.wrong("a constant lies nowhere")
        if int(offset) + int(size) > self.weights:
            raise self.wrong("its weights are cut short, or those of another file")
        self.claimed += int(size)
        if self.claimed > max(SMALL, SHARED * self.weights):
            raise self.wrong(f"its constants claim more than {self.claimed:,} bytes in all")

    def check_encoding(self, _version: str, encoding: str | None, _standalone: int) -> None:
        """Refuse text that OpenVINO would read as other letters."""
        if encoding is not None and encoding.casefold() not in ("utf-8", "utf8"):
            raise self.wrong(f"it is in {encoding[:30]!r}, not in UTF-8")

    def refuse_doctype(self, *_: object) -> None:
        raise self.wrong("it declares a document type or entities")

    def wrong(self, problem: str) -> InvalidExport:
        return InvalidExport(self.source, problem, AGAIN)


def _write(model: Model, metadata: Metadata, path: Path) -> None:
    from ..graphs import to_openvino, write_openvino

    write_openvino(to_openvino(model, metadata), path)


def _quantizable_bf16(model: Model, metadata: Metadata, _: Progress) -> QuantizableGraph:
    from ..graphs.bf16_openvino import quantizable_bf16

    return quantizable_bf16(model, metadata)


OPENVINO = Format(
    suffix=".xml",
    companions=(".bin",),
    write=_write,
    read_metadata=read_metadata,
    engines=("openvino",),
    precisions=("fp32", "fp16", "bf16", "int8"),
    packages=("openvino",),
    extra="openvino",
    quantizable={
        "int8": import_late("scantling.engines.graphs", "int8_openvino", "quantizable_openvino"),
        "bf16": _quantizable_bf16,
    },
    quantization_packages={"int8": ("nncf",)},
)
