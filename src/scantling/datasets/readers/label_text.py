"""The text of one YOLO or darknet label file → numbers, with a finding for each bad line."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import InvalidData
from ...structures import IntArray
from ..dataset import Columns
from ..findings import Problems, shorten
from ..safe_text import check_utf8, read_small

MAX_BYTES = 2**24
MAX_LINES = 100_000
MAX_LINE = 2**18  # bytes; an outline of a thousand points takes 20,000

_NUMBER = rb"[+-]?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][+-]?\d{1,4})?"
# Possessive (`++`) and atomic (`(?>`), so that no text, however made, lets the search go back and
# forth. No group is possessive: Python 3.11.2 then also matches what ends in the midst of one.
_CLEAN_FILE = re.compile(
    rb"(?>(?:\d{1,9}(?:[ \t]++" + _NUMBER + rb"){4}[ \t]*+\r?\n)*)"
    rb"(?:\d{1,9}(?:[ \t]++" + _NUMBER + rb"){4})?\s*+"
)
_CLEAN_LINE = re.compile(_NUMBER + rb"(?>(?:[ \t]++" + _NUMBER + rb")*)")
_CLEAN_NUMBER = re.compile(_NUMBER)
_NO_NUMBER = re.compile(rb"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_SEPARATORS = re.compile(rb"[,;|]")


@dataclass(frozen=True)
class Grammar:
    """The columns that a line may have besides class and box."""

    polygons: bool  # YOLO: class, then the points of an outline
    track: bool  # darknet: a sixth value is the number of the object in a video, else a score


def read_labels(
    path: Path, grammar: Grammar, *, problems: Problems, image: Path
) -> tuple[Columns, IntArray]:
    """Parse one label file; bad lines become findings.

    Finds E101, E102, E201, E202, E204, E205, W216, E217, W221, E230 and W233; NaN comes through.

    Returns:
        (M, 5) class, x, y, width, height as written; (M,) the lines they stand on, from 1.
    """
    try:
        data = check_utf8(read_small(path, max_bytes=MAX_BYTES), path)
    except InvalidData as error:
        problems.add_error(error, image=image)
        return np.empty((0, 5)), np.empty(0, np.int64)
    if not data.strip():
        problems.add("W221", "has no objects", path, image=image)
        return np.empty((0, 5)), np.empty(0, np.int64)
    if _CLEAN_FILE.fullmatch(data):
        values = np.fromstring(data.decode("ascii"), np.float64, sep=" ").reshape(-1, 5)
        if len(values) <= MAX_LINES:
            return values, np.arange(1, len(values) + 1)
    return _read_lines(data, path, grammar, problems, image)


def _read_lines(
    data: bytes, path: Path, grammar: Grammar, problems: Problems, image: Path
) -> tuple[Columns, IntArray]:
    if data.count(b"\n") >= MAX_LINES:
        problems.add("E230", f"has more than {MAX_LINES:,} lines", path, image=image)
        return np.empty((0, 5)), np.empty(0, np.int64)
    rows, numbers, polygons, scored = [], [], [], []
    for number, raw in enumerate(data.split(b"\n"), start=1):
        line = raw.strip()
        if not line:
            continue
        row = _read_line(line, grammar)
        if isinstance(row, tuple):
            problems.add(row[0], row[1], path, line=number, image=image)
            continue
        if len(row) > 6:
            polygons.append(number)
            row = _enclose(row)
        elif len(row) == 6 and not grammar.track:
            scored.append(number)
        rows.append(row[:5])
        numbers.append(number)
    if polygons:
        message = f"{len(polygons)} polygons were reduced to their boxes"
        problems.add("W216", message, path, line=polygons[0], image=image)
    if scored:
        message = f"{len(scored)} lines end with a score, which is not read"
        problems.add("W233", message, path, line=scored[0], image=image)
    return np.array(rows, np.float64).reshape(-1, 5), np.array(numbers, np.int64)


def _read_line(line: bytes, grammar: Grammar) -> Columns | tuple[str, str]:
    """Parse one line: its numbers, or the code and message of its problem."""
    if len(line) > MAX_LINE:
        return "E230", f"the line has {len(line):,} bytes"
    if _CLEAN_LINE.fullmatch(line):
        values = np.fromstring(line.decode("ascii"), np.float64, sep=" ")
    else:
        tokens = line.split()
        text = shorten(line.decode("utf-8"))
        if _SEPARATORS.search(line) and not re.search(rb"[A-Za-z]{2}", line):
            return "E204", f"{text} has commas; expected spaces between values, points in numbers"
        for place, token in enumerate(tokens):
            if _CLEAN_NUMBER.fullmatch(token):
                continue
            if place == 0:
                return "E205", f"{text} begins with no class id; expected a whole number"
            if not _NO_NUMBER.fullmatch(token):
                shown = shorten(token.decode("utf-8"), length=30)
                return "E202", f"{shown} is no number; expected class, x, y, width, height"
        values = np.array([float(token) for token in tokens])
    return _check_count(values, grammar)


def _check_count(values: Columns, grammar: Grammar) -> Columns | tuple[str, str]:
    count = len(values)
    if count == 5 or (count == 6 and (grammar.track or 0 <= values[5] <= 1)):
        return values
    if grammar.polygons and count >= 7:
        if count % 2:
            return values
        return "E217", f"{count - 1} coordinates after the class; expected x and y for each point"
    hint = "; a sixth may be a score, from 0 to 1" if count == 6 else ""
    many = "a box, or an outline of three points or more" if grammar.polygons else "a box"
    return "E201", f"{count} values; expected 5: class, x, y, width, height of {many}{hint}"


def _enclose(values: Columns) -> Columns:
    """Class and box of an outline: (class, x, y, x, y, …) → (class, x, y, width, height)."""
    points = values[1:].reshape(-1, 2)
    with np.errstate(all="ignore"):
        low, high = points.min(axis=0), points.max(axis=0)
        return np.concatenate([values[:1], (low + high) / 2, high - low])
