"""ONNX: its entry in `FORMATS`, and a reader of metadata that checks the graph without a runtime.

An ONNX file is a protocol buffer: fields of a number, a kind and a length. Only those that matter
here are looked into; weights are stepped over. The runtime reads the same file with another reader,
so whatever that one could take otherwise is refused: fields that no exported file has, numbers
beyond their width, and what may be there once but is there again, which would be merged.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InvalidExport
from ...io import find_foreign_file, open_regular
from ...lazy import import_late
from .format import AGAIN, Format

if TYPE_CHECKING:
    from ...checkpoints import Model
    from ...specs.metadata import Metadata

# Operators that come with every runtime; onnxruntime's own are what its quantisation writes.
DOMAINS = frozenset(("", "ai.onnx", "com.microsoft"))
CONTROL_FLOW = frozenset(("If", "Loop", "Scan", "SequenceMap"))
OTHER_FILES = frozenset(("EPContext",))  # operators that read one
MAX_FIELDS = 1_000_000
MAX_NODES = 100_000
MAX_ENTRY = 8 << 20  # bytes of a metadata entry

# How a field is written (protobuf.dev/programming-guides/encoding), and whether it may come again.
NUMBER, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5
MANY = 8
KIND = 7  # the bits of a tag that are its kind
LONGEST_TAG, LONGEST_NUMBER = 5, 10  # bytes of 32 bits, also of a length, and of 64

# Numbers of the fields that are looked at, from onnx.proto.
MODEL_GRAPH, MODEL_OPERATORS, MODEL_METADATA, MODEL_TRAINING, MODEL_FUNCTIONS = 7, 8, 14, 20, 25
GRAPH_NODE, GRAPH_TENSOR, GRAPH_SPARSE = 1, 5, 15
NODE_KIND, NODE_ATTRIBUTE, NODE_DOMAIN = 4, 5, 7
ATTRIBUTE_TENSOR, ATTRIBUTE_GRAPH, ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS = 5, 6, 10, 11
ATTRIBUTE_SPARSE = frozenset((22, 23))
TENSOR_SIDE, TENSOR_OUTSIDE, TENSOR_PLACE = 1, 13, 14
TENSOR_VALUES = frozenset((4, 5, 6, 7, 9, 10, 11))
KEY, VALUE = 1, 2  # of an entry of the metadata
DOMAIN = 1  # of a set of operators

# All fields that an exported file may have. Messages that are not looked into are not here.
Fields = dict[int, int]
MODEL: Fields = {
    **dict.fromkeys((1, 5), NUMBER),
    **dict.fromkeys((2, 3, 4, 6, MODEL_GRAPH), BYTES),
    **dict.fromkeys((MODEL_OPERATORS, MODEL_METADATA), BYTES | MANY),
    **dict.fromkeys((MODEL_TRAINING, MODEL_FUNCTIONS), BYTES | MANY),
}
GRAPH: Fields = {
    **dict.fromkeys((2, 10), BYTES),
    **dict.fromkeys((GRAPH_NODE, GRAPH_TENSOR, GRAPH_SPARSE, 11, 12, 13, 14, 16), BYTES | MANY),
}
NODE: Fields = {
    **dict.fromkeys((3, NODE_KIND, NODE_DOMAIN, 6, 8), BYTES),
    **dict.fromkeys((1, 2, NODE_ATTRIBUTE, 9), BYTES | MANY),
}
ATTRIBUTE: Fields = {
    **dict.fromkeys((3, 20), NUMBER),
    2: FOUR_BYTES,
    **dict.fromkeys((1, 4, ATTRIBUTE_TENSOR, ATTRIBUTE_GRAPH, 13, 22), BYTES),
    7: FOUR_BYTES | MANY,
    8: NUMBER | MANY,
    **dict.fromkeys((9, ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS, 23), BYTES | MANY),
}
TENSOR: Fields = {
    **dict.fromkeys((2, TENSOR_PLACE), NUMBER),
    **dict.fromkeys((8, 9, 12), BYTES),
    4: FOUR_BYTES | MANY,
    10: EIGHT_BYTES | MANY,
    **dict.fromkeys((TENSOR_SIDE, 5, 7, 11), NUMBER | MANY),
    **dict.fromkeys((6, TENSOR_OUTSIDE, 16), BYTES | MANY),
}
ENTRY: Fields = {KEY: BYTES, VALUE: BYTES}
OPERATORS: Fields = {DOMAIN: BYTES, 2: NUMBER}
MOST = 1 << 62  # numbers that a weight may claim
A_BYTE = 4  # numbers in a byte, at most: there are some of two bits


def read_metadata(path: Path) -> bytes | None:
    """The JSON of the metadata in an ONNX file; None where there is none.

    Raises:
        InvalidExport: the file is no ONNX model, or one that needs other files, operators that are
            no part of ONNX, or control flow.
        OSError: it cannot be read.
    """
    from ...specs.metadata import KEY

    if path.stat().st_size == 0:
        raise InvalidExport(str(path), "it is empty", AGAIN)
    if foreign := find_foreign_file(path):
        raise InvalidExport(str(path), f"it is {foreign}", AGAIN)
    with open_regular(path) as stream:
        data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        with data:
            return _Walk(data, str(path)).read_entry(KEY.encode())


@dataclass
class _Walk:
    """Goes through one file, and counts what it meets."""

    data: mmap.mmap
    source: str
    fields: int = 0
    nodes: int = 0
    _entries: dict[bytes, bytes] = field(default_factory=dict)

    def read_entry(self, key: bytes) -> bytes | None:
        graphs = 0
        for number, start, end in self.within(MODEL, 0, len(self.data)):
            if number == MODEL_GRAPH:
                graphs += 1
                self.check_graph(start, end)
            elif number == MODEL_OPERATORS:
                self.check_domain(self.texts_of(OPERATORS, start, end).get(DOMAIN, b""))
            elif number == MODEL_METADATA:
                if end - start > MAX_ENTRY:
                    raise self.wrong(f"a metadata entry of it has {end - start:,} bytes")
                entry = self.texts_of(ENTRY, start, end)
                name = entry.get(KEY, b"")
                if name in self._entries:
                    raise self.wrong(f"it has the metadata entry {name[:60]!r} twice")
                self._entries[name] = entry.get(VALUE, b"")
            elif number == MODEL_FUNCTIONS:
                raise self.wrong("it defines functions of its own")
            elif number == MODEL_TRAINING:
                raise self.wrong("it holds a training graph")
        if graphs != 1:
            raise self.wrong("it is no ONNX model: it holds no graph")
        return self._entries.get(key)

    def check_graph(self, start: int, end: int) -> None:
        for number, first, last in self.within(GRAPH, start, end):
            if number == GRAPH_NODE:
                self.check_node(first, last)
            elif number == GRAPH_TENSOR:
                self.check_tensor(first, last)
            elif number == GRAPH_SPARSE:
                raise self.wrong("it holds sparse weights")

    def check_node(self, start: int, end: int) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise self.wrong(f"it has more than {MAX_NODES:,} nodes")
        for number, first, last in self.within(NODE, start, end):
            if number == NODE_DOMAIN:
                self.check_domain(bytes(self.data[first : min(last, first + 200)]))
            elif number == NODE_KIND:
                kind = bytes(self.data[first : min(last, first + 200)]).decode(errors="replace")
                if kind in CONTROL_FLOW:
                    raise self.wrong(f"it has control flow in it: {kind}")
                if kind in OTHER_FILES:
                    raise self.wrong(f"it needs another file: {kind}")
            elif number == NODE_ATTRIBUTE:
                self.check_attribute(first, last)

    def check_attribute(self, start: int, end: int) -> None:
        for number, first, last in self.within(ATTRIBUTE, start, end):
            if number in (ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS):
                raise self.wrong("it has control flow in it: a graph within a node")
            if number in ATTRIBUTE_SPARSE:
                raise self.wrong("it holds sparse weights")
            if number in (ATTRIBUTE_TENSOR, ATTRIBUTE_TENSORS):
                self.check_tensor(first, last)

    def check_tensor(self, start: int, end: int) -> None:
        claimed, held = 1, 0
        for number, first, last in self.within(TENSOR, start, end):
            if number == TENSOR_OUTSIDE or (number == TENSOR_PLACE and last != 0):
                raise self.wrong("its weights lie in another file")
            if number == TENSOR_SIDE:
                for side in (last,) if first == 0 else self.numbers(first, last):
                    claimed = min(claimed * side, MOST)  # a side of 0 may follow
            elif number in TENSOR_VALUES:  # one by one, or many together
                held += 1 if first == 0 else max(1, last - first)
        if claimed > A_BYTE * held:  # memory is set aside for what is claimed
            raise self.wrong(f"a weight of it claims {claimed:,} numbers in {held:,} bytes")

    def numbers(self, start: int, end: int) -> Iterator[int]:
        """Numbers of variable length, one behind the other."""
        place = start
        while place < end:
            self.fields += 1
            if self.fields > MAX_FIELDS:
                raise self.wrong(f"it has more than {MAX_FIELDS:,} fields")
            value, place = self.number_at(place, end, LONGEST_NUMBER)
            yield value

    def check_domain(self, domain: bytes) -> None:
        name = domain.decode(errors="replace")
        if name not in DOMAINS:
            raise self.wrong(f"it needs operators of {name[:60]!r}, which are no part of ONNX")

    def texts_of(self, fields: Fields, start: int, end: int) -> dict[int, bytes]:
        """The texts of a message, by the numbers of their fields."""
        return {
            number: bytes(self.data[first:last])
            for number, first, last in self.within(fields, start, end)
            if fields[number] == BYTES
        }

    def within(self, fields: Fields, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """The fields of a message: number, where the value begins and ends.

        Of a plain number the place is 0 and the end is the number.

        Args:
            fields: those that there may be.
            start, end: of the message.
        """
        place, seen = start, 0
        while place < end:
            self.fields += 1
            if self.fields > MAX_FIELDS:
                raise self.wrong(f"it has more than {MAX_FIELDS:,} fields")
            tag, place = self.number_at(place, end, LONGEST_TAG)
            number, kind = tag >> 3, tag & KIND
            self.check_field(fields, number, kind, again=bool(seen >> number & 1))
            seen |= 1 << number
            if kind == NUMBER:
                value, place = self.number_at(place, end, LONGEST_NUMBER)
                yield number, 0, value
                continue
            length = 8 if kind == EIGHT_BYTES else 4
            if kind == BYTES:
                length, place = self.number_at(place, end, LONGEST_TAG)
            if length > end - place:
                raise self.wrong("it is no ONNX model, or ends too early")
            yield number, place, place + length
            place += length

    def check_field(self, fields: Fields, number: int, kind: int, *, again: bool) -> None:
        """Refuse a field that is not known, is written in another way, or came before."""
        known = fields.get(number)
        if known is None:
            raise self.wrong(f"it is no ONNX model, or damaged: nothing in it is a field {number}")
        packed = kind == BYTES and known & MANY
        if kind != known & KIND and not packed:
            raise self.wrong(f"it is no ONNX model, or damaged: a field {number} of kind {kind}")
        if again and not known & MANY:
            raise self.wrong(f"it has a field {number} twice where there may be one")

    def number_at(self, place: int, end: int, longest: int) -> tuple[int, int]:
        """A number of variable length, of so many bytes at most, and the place behind it."""
        value = shift = 0
        last = min(end, place + longest)
        while place < last:
            byte = self.data[place]
            place += 1
            value |= (byte & 127) << shift
            if byte < 128:
                if value >> (32 if longest == LONGEST_TAG else 64):
                    raise self.wrong(f"it has a number beyond its width in it: {value:#x}")
                return value, place
            shift += 7
        raise self.wrong("it is no ONNX model, or ends too early")

    def wrong(self, problem: str) -> InvalidExport:
        return InvalidExport(self.source, problem, AGAIN)


def _write(model: Model, metadata: Metadata, path: Path) -> None:
    from ..graphs import to_onnx, write_onnx

    write_onnx(to_onnx(model, metadata), path)


ONNX = Format(
    suffix=".onnx",
    write=_write,
    read_metadata=read_metadata,
    engines=("onnxruntime", "openvino", "tensorrt"),
    precisions=("fp32", "fp16", "int8"),
    packages=("onnx", "onnxscript", "onnxruntime"),
    extra="onnx",
    quantizable={"int8": import_late("scantling.engines.graphs", "int8_onnx", "quantizable_onnx")},
)
