"""ONNX: its entry in `FORMATS`, and a reader of metadata that checks the graph without a runtime.

An ONNX file is a protocol buffer: fields of a number, a kind and a length. Only those that matter
here are looked into; weights are stepped over.
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
MAX_FIELDS = 2_000_000
MAX_NODES = 100_000
MAX_ENTRY = 8 << 20  # bytes of a metadata entry

# Numbers of the fields, from onnx.proto.
MODEL_GRAPH, MODEL_OPERATORS, MODEL_METADATA, MODEL_TRAINING, MODEL_FUNCTIONS = 7, 8, 14, 20, 25
GRAPH_NODE, GRAPH_TENSOR, GRAPH_SPARSE = 1, 5, 15
NODE_KIND, NODE_ATTRIBUTE, NODE_DOMAIN = 4, 5, 7
ATTRIBUTE_TENSOR, ATTRIBUTE_GRAPH, ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS = 5, 6, 10, 11
TENSOR_SIDE, TENSOR_OUTSIDE, TENSOR_PLACE = 1, 13, 14
TENSOR_VALUES = frozenset((4, 5, 6, 7, 9, 10, 11))
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
        for number, start, end in self.within(0, len(self.data)):
            if number == MODEL_GRAPH:
                graphs += 1
                self.check_graph(start, end)
            elif number == MODEL_OPERATORS:
                self.check_domain(self.text_of(start, end, 1))
            elif number == MODEL_METADATA:
                if end - start > MAX_ENTRY:
                    raise self.wrong(f"a metadata entry of it has {end - start:,} bytes")
                self._entries[self.text_of(start, end, 1)] = self.text_of(start, end, 2)
            elif number == MODEL_FUNCTIONS:
                raise self.wrong("it defines functions of its own")
            elif number == MODEL_TRAINING:
                raise self.wrong("it holds a training graph")
        if graphs != 1:
            raise self.wrong("it is no ONNX model: it holds no graph")
        return self._entries.get(key)

    def check_graph(self, start: int, end: int) -> None:
        for number, first, last in self.within(start, end):
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
        for number, first, last in self.within(start, end):
            if number == NODE_DOMAIN:
                self.check_domain(bytes(self.data[first : min(last, first + 200)]))
            elif number == NODE_KIND:
                kind = bytes(self.data[first : min(last, first + 200)]).decode(errors="replace")
                if kind in CONTROL_FLOW:
                    raise self.wrong(f"it has control flow in it: {kind}")
            elif number == NODE_ATTRIBUTE:
                for inner, one, two in self.within(first, last):
                    if inner in (ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS):
                        raise self.wrong("it has control flow in it: a graph within a node")
                    if inner in (ATTRIBUTE_TENSOR, ATTRIBUTE_TENSORS):
                        self.check_tensor(one, two)

    def check_tensor(self, start: int, end: int) -> None:
        claimed, held = 1, 0
        for number, first, last in self.within(start, end):
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
            value, place = self.number_at(place, end)
            yield value

    def check_domain(self, domain: bytes) -> None:
        name = domain.decode(errors="replace")
        if name not in DOMAINS:
            raise self.wrong(f"it needs operators of {name[:60]!r}, which are no part of ONNX")

    def text_of(self, start: int, end: int, wanted: int) -> bytes:
        """The value of one field of a message; the last, as protocol buffers have it."""
        found = b""
        for number, first, last in self.within(start, end):
            if number == wanted:
                found = bytes(self.data[first:last])
        return found

    def within(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """The fields of a message: number, where the value begins and ends.

        Of a plain number the place is 0 and the end is the number.
        """
        place = start
        while place < end:
            self.fields += 1
            if self.fields > MAX_FIELDS:
                raise self.wrong(f"it has more than {MAX_FIELDS:,} fields")
            tag, place = self.number_at(place, end)
            kind = tag & 7
            if kind == 0:
                value, place = self.number_at(place, end)
                yield tag >> 3, 0, value
                continue
            if kind == 2:
                length, place = self.number_at(place, end)
            elif kind in (1, 5):
                length = 8 if kind == 1 else 4
            else:
                raise self.wrong("it is no ONNX model, or damaged")
            if length > end - place:
                raise self.wrong("it is no ONNX model, or ends too early")
            yield tag >> 3, place, place + length
            place += length

    def number_at(self, place: int, end: int) -> tuple[int, int]:
        """A number of variable length, and the place behind it."""
        value = shift = 0
        while place < end and shift < 70:
            byte = self.data[place]
            place += 1
            value |= (byte & 127) << shift
            if byte < 128:
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
