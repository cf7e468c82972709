"""Parse one Pascal VOC annotation file."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from ..findings import data_error, shorten
from ..safe_text import Element, read_xml

SIDES = ("xmin", "ymin", "xmax", "ymax")

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_NO_NUMBER = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_WITH_COMMA = re.compile(r"[+-]?\d+[,;]\d+", re.ASCII)

Fault = tuple[str, str]  # code, message


@dataclass(frozen=True)
class VocObject:
    """One valid object.

    Args:
        name: of its class.
        corners: xmin, ymin, xmax, ymax as written: from 1, the last pixel included.
        difficult: whether it does not count in evaluation.
        line: where it begins.
    """

    name: str
    corners: tuple[float, float, float, float]
    difficult: bool
    line: int


@dataclass(frozen=True)
class VocFile:
    """The content of an annotation file, and its problems as (code, message, line)."""

    filename: str
    size: tuple[int, int] | None  # (height, width)
    objects: list[VocObject] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    faults: list[tuple[str, str, int]] = field(default_factory=list)
    count: int = 0  # of objects, with those that have an error


def read_voc_file(path: Path) -> VocFile:
    """Read one annotation.

    Finds E201, E202, E203, E204, E209, E212, E223, W227, E228 and W232 of single objects.

    Raises:
        InvalidData: as `read_xml`, and E103 where it is XML but no annotation.
    """
    root = read_xml(path)
    if root.name != "annotation":
        problem = f"begins with <{root.name[:40]}>; expected <annotation>"
        raise data_error("E103", path, problem, line=root.line)
    size, faults = _read_size(root)
    elements = [child for child in root.children if child.name == "object"]
    found = VocFile(
        root.find_text("filename") or "",
        size,
        names=[name for element in elements if (name := element.find_text("name"))],
        faults=faults,
        count=len(elements),
    )
    for element in elements:
        result = _read_object(element)
        if isinstance(result, VocObject):
            found.objects.append(result)
            if 0 <= min(result.corners[:2]) < 1:
                left, top = result.corners[:2]
                message = f"xmin {left:g}, ymin {top:g}; the first pixel is 1"
                faults.append(("W227", message, element.line))
            if result.corners[:2] == result.corners[2:]:  # the last pixel is inside
                left, top = result.corners[:2]
                message = f"the box from ({left:g}, {top:g}) to itself is one pixel"
                faults.append(("W232", message, element.line))
        else:
            faults.append((*result, element.line))
    return found


def _read_size(root: Element) -> tuple[tuple[int, int] | None, list[tuple[str, str, int]]]:
    size = root.find("size")
    if size is None:
        return None, [("E223", "the size of the image is missing", root.line)]
    sides = []
    for name in ("height", "width"):
        text = size.find_text(name) or ""
        if not re.fullmatch(r"0*[1-9][0-9]{0,8}(?:\.0*)?", text, re.ASCII):
            message = f"{name} is {shorten(text)}; expected pixels"
            return None, [("E223", message, size.line)]
        sides.append(int(float(text)))
    return (sides[0], sides[1]), []


def _read_object(element: Element) -> VocObject | Fault:
    name = element.find_text("name")
    if not name:
        return "E201", "the object has no name"
    box = element.find("bndbox")
    if box is None:
        return "E201", "the object has no bndbox"
    corners = []
    for side in SIDES:
        value = _read_number(side, box.find_text(side))
        if isinstance(value, tuple):
            return value
        corners.append(value)
    left, top, right, bottom = corners
    fault = _check_corners(left, top, right, bottom)
    if fault:
        return fault
    flag = element.find_text("difficult") or "0"
    if flag not in ("0", "1"):
        return "E228", f"difficult is {shorten(flag)}; expected 0 or 1"
    return VocObject(name, (left, top, right, bottom), flag == "1", element.line)


def _read_number(side: str, text: str | None) -> float | Fault:
    if not text:
        return "E201", f"the box has no {side}"
    if _NUMBER.fullmatch(text) and len(text) < 400:
        value = float(text)
        if abs(value) < float("inf"):
            return value
    elif _WITH_COMMA.fullmatch(text):
        return "E204", f"{side} is {shorten(text)}; expected a number with a point"
    elif not _NO_NUMBER.fullmatch(text):
        return "E202", f"{side} is {shorten(text)}; expected a number"
    return "E203", f"{side} is {shorten(text)}"


def _check_corners(left: float, top: float, right: float, bottom: float) -> Fault | None:
    shown = f"the box from ({left:g}, {top:g}) to ({right:g}, {bottom:g})"
    if right < left or bottom < top:
        return "E209", f"{shown} ends before it begins"
    if right <= 1 and bottom <= 1 and min(left, top) >= 0 and (left < 1 or top < 1):
        return "E212", f"{shown} is one of shares; expected pixels, from 1"
    return None
