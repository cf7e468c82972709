"""Text, XML and YAML of a data set, read safely: regular files of bounded size, in UTF-8.

XML has no DTD, no entities and no endless nesting; its attributes, comments and processing
instructions are left out, as no annotation uses them. YAML is texts, lists and mappings alone,
without aliases, tags, or guesses at what is meant: every value stays the text that was written, so
that a class called `no` or `1.10` keeps its name.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

import yaml

from ..errors import InvalidData, InvalidSource
from ..images.read import check_regular, read_bytes
from ..io import find_foreign
from .findings import data_error

MAX_XML_BYTES, MAX_YAML_BYTES = 2**24, 2**22
MAX_DEPTH = 32
MAX_TEXT = 2**16
MAX_ELEMENTS = 500_000  # some 200 MB; the largest real annotation has thousands
UTF16 = (b"\xff\xfe", b"\xfe\xff")
# libyaml where PyYAML was built with it: ten times as fast, and the same events.
LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
Yaml = Any  # str, list of Yaml, or dict from str to Yaml


def read_small(path: Path, *, max_bytes: int) -> bytes:
    """The content of a regular file of limited size; pipes and devices are never opened.

    Raises:
        InvalidData: E101 no such file, or it cannot be read; E230 too large.
    """
    try:
        size = check_regular(path)
        if size > max_bytes:
            raise data_error("E230", path, f"has {size:,} bytes, more than {max_bytes:,}")
        return read_bytes(path, max_bytes=max_bytes)
    except InvalidSource as error:
        raise data_error("E101", path, error.problem) from error


def check_utf8(data: bytes, path: Path) -> bytes:
    """The same bytes without a byte order mark, which are UTF-8 text.

    Raises:
        InvalidData: E102 they are not; E103 they are a web page, a Git LFS pointer or the like.
    """
    # of labels, which begin with a class and a space, nothing is asked
    if not data[:1].isdigit() or data[3:4] == b":":
        _refuse_foreign(data, path)
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\0" in data:  # in no text, and in no path
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        raise data_error("E102", path, "holds a zero byte, as no text does", line=line)
    if not data.isascii():
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            shown = f"0x{data[error.start]:02x}"
            raise data_error("E102", path, f"byte {shown} is not UTF-8 text", line=line) from error
    return data


def _refuse_foreign(data: bytes, path: Path) -> None:
    if data[:2] in UTF16:
        raise data_error("E102", path, "is UTF-16 text; save it as UTF-8")
    if what := find_foreign(data[:512], may_be_xml=True):
        raise data_error("E103", path, f"is {what}", fix="Restore the file")


def read_text(path: Path, *, max_bytes: int) -> str:
    """The text of a small UTF-8 file.

    Raises:
        InvalidData: as `read_small` and `check_utf8`.
    """
    return check_utf8(read_small(path, max_bytes=max_bytes), path).decode("utf-8")


@dataclass(slots=True)
class Element:
    """One element of an XML file.

    Attributes:
        name: of its tag.
        line: where it begins, from 1.
        text: all text directly in it, without white space around.
        children: the elements in it, in order.
    """

    name: str
    line: int
    text: str = ""
    children: "list[Element]" = field(default_factory=list)

    def find(self, name: str) -> "Element | None":
        """The first child of a name."""
        return next((child for child in self.children if child.name == name), None)

    def find_text(self, name: str) -> str | None:
        """The text of the first child of a name; None where there is no such child."""
        child = self.find(name)
        return None if child is None else child.text


def read_xml(path: Path) -> Element:
    """The root of an XML file.

    Raises:
        InvalidData: E101, E102, E230; E103 it is not XML; E104 it declares a document type or
            entities, or is nested deeper than `MAX_DEPTH`.
    """
    return parse_xml(read_small(path, max_bytes=MAX_XML_BYTES), path)


def parse_xml(data: bytes, path: Path) -> Element:
    """As `read_xml`, of what is in memory; `path` is what the error calls it."""
    parser = expat.ParserCreate("utf-8")  # whatever the file declares: it is checked to be that
    parser.buffer_text = True
    root = Element("", 0)
    builder = _Builder(parser, root, path)
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = builder.refuse_doctype
    parser.EntityDeclHandler = builder.refuse_entity
    try:
        parser.Parse(check_utf8(data, path), True)
    except expat.ExpatError as error:
        what = expat.ErrorString(error.code)
        raise data_error("E103", path, f"is not XML: {what}", line=error.lineno) from error
    return root.children[0]


class _Builder:
    """Puts the elements of one file together as the parser meets them."""

    def __init__(self, parser: expat.XMLParserType, root: Element, path: Path) -> None:
        self.parser = parser
        self.open = [root]
        self.path = path
        self.count = 0

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        line = self.parser.CurrentLineNumber
        self.count += 1
        if len(self.open) > MAX_DEPTH:
            problem = f"elements are nested more than {MAX_DEPTH} deep"
            raise data_error("E104", self.path, problem, line=line)
        if self.count > MAX_ELEMENTS:
            raise data_error("E230", self.path, f"has more than {MAX_ELEMENTS:,} elements")
        element = Element(name, line)
        self.open[-1].children.append(element)
        self.open.append(element)

    def end(self, _name: str) -> None:
        element = self.open.pop()
        element.text = element.text.strip()

    def text(self, text: str) -> None:
        element = self.open[-1]
        # With children, it is the space between them; beyond the limit, nothing that is read.
        if not element.children and len(element.text) < MAX_TEXT:
            element.text += text

    def refuse_doctype(self, name: str, *_: object) -> None:
        line = self.parser.CurrentLineNumber
        raise data_error("E104", self.path, f"declares a document type {name[:40]!r}", line=line)

    def refuse_entity(self, name: str, *_: object) -> None:
        line = self.parser.CurrentLineNumber
        raise data_error("E104", self.path, f"declares an entity {name[:40]!r}", line=line)


def read_yaml(path: Path) -> tuple[Yaml, dict[str, int]]:
    """The content of a YAML file, and the line of each key of its outermost mapping.

    Raises:
        InvalidData: E101, E102, E230; E103 it is not YAML, has a key twice or more than one
            document; E104 it has anchors, aliases or tags, or is nested deeper than `MAX_DEPTH`.
    """
    return parse_yaml(read_small(path, max_bytes=MAX_YAML_BYTES), path)


def parse_yaml(data: bytes, path: Path) -> tuple[Yaml, dict[str, int]]:
    """As `read_yaml`, of what is in memory; `path` is what the error calls it."""
    lines: dict[str, int] = {}
    try:
        events = _checked(yaml.parse(check_utf8(data, path), Loader=LOADER), path)
        value = _build(events, next(events, None), path, lines, 0)
        if next(events, None) is not None:
            raise data_error("E103", path, "holds more than one document; expected one")
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", "damaged")
        line = None if mark is None else mark.line + 1
        if "nesting" in str(problem):  # newer versions of libyaml have a limit of their own
            problem = f"has nesting more than {MAX_DEPTH} deep"
            raise data_error("E104", path, problem, line=line) from error
        raise data_error("E103", path, f"is not YAML: {problem}", line=line) from error
    return value, lines


def _checked(events: Iterator[Any], path: Path) -> Iterator[Any]:
    """The events that build something, without those that ask for more than data."""
    depth = 0
    for event in events:
        if isinstance(event, yaml.events.AliasEvent) or getattr(event, "anchor", None):
            raise _refused(path, "an anchor or alias", event)
        if "\0" in getattr(event, "value", ""):
            raise _refused(path, "a zero byte", event)
        if getattr(event, "tag", None):
            raise _refused(path, f"a tag {str(event.tag)[:60]!r}", event)
        depth += isinstance(event, yaml.events.CollectionStartEvent)
        depth -= isinstance(event, yaml.events.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise _refused(path, f"nesting more than {MAX_DEPTH} deep", event)
        if isinstance(event, (yaml.events.NodeEvent, yaml.events.CollectionEndEvent)):
            yield event


def _refused(path: Path, what: str, event: Any) -> InvalidData:
    return data_error("E104", path, f"has {what}", line=event.start_mark.line + 1)


def _build(
    events: Iterator[Any], event: Any, path: Path, lines: dict[str, int], depth: int
) -> Yaml:
    if event is None:
        return ""
    if isinstance(event, yaml.events.ScalarEvent):
        return event.value
    if isinstance(event, yaml.events.SequenceStartEvent):
        items = []
        while not isinstance(item := next(events), yaml.events.SequenceEndEvent):
            items.append(_build(events, item, path, lines, depth + 1))
        return items
    mapping: dict[str, Yaml] = {}
    while not isinstance(key := next(events), yaml.events.MappingEndEvent):
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.events.ScalarEvent):
            raise data_error("E103", path, "a key is no plain text", line=line)
        if key.value in mapping:
            raise data_error("E103", path, f"the key {key.value[:60]!r} is there twice", line=line)
        if depth == 0:
            lines[key.value] = line
        mapping[key.value] = _build(events, next(events), path, lines, depth + 1)
    return mapping
