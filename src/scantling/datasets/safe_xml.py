"""XML without what makes XML dangerous: no DTD, no entities, no endless nesting.

Attributes, comments and processing instructions are left out: no annotation uses them.
"""

from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from .problems import data_error
from .safe_text import check_utf8, read_small

MAX_BYTES = 2**24
MAX_DEPTH = 32
MAX_TEXT = 2**16
MAX_ELEMENTS = 500_000  # some 200 MB; the largest real annotation has thousands


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
    return parse_xml(read_small(path, max_bytes=MAX_BYTES), path)


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
