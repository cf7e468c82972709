"""Text in a CSV file: no spreadsheet takes it for a formula, no terminal for a command."""

import csv
import json
from os import PathLike
from pathlib import Path

FORMULA = "=+-@\n"  # what a formula may begin with
MARKS = "'\""  # what our own forms begin with


def as_cell(value: object) -> object:
    """A value as a cell; numbers stay as they are, text comes back by `from_cell`.

    Text that begins as a formula does gets an apostrophe in front; text with control characters, or
    bytes that are no UTF-8, becomes a string of JSON.

    >>> as_cell("=1+1"), as_cell("a\\x1b[31m"), as_cell("dog"), as_cell(-1)
    ("'=1+1", '"a\\\\u001b[31m"', 'dog', -1)
    """
    if not isinstance(value, str):
        return value
    if not value.replace("\n", "").isprintable() or value[:1] == '"':
        return json.dumps(value)
    return f"'{value}" if value[:1] and value[:1] in FORMULA + MARKS else value


def from_cell(text: str) -> str:
    """The text that `as_cell` was given.

    >>> from_cell("'=1+1"), from_cell("dog")
    ('=1+1', 'dog')
    """
    if text[:1] == '"':
        try:
            found = json.loads(text)
        except ValueError:
            return text
        return found if isinstance(found, str) else text
    return text.removeprefix("'")


def read_rows(path: str | PathLike[str]) -> list[dict[str, str]]:
    """The rows of a CSV file of ours, such as `detections.csv`, by the names of their columns.

    Raises:
        OSError: it cannot be read.
    """
    with Path(path).open(encoding="utf-8", newline="") as file:
        return [
            {name: from_cell(text) for name, text in row.items()} for row in csv.DictReader(file)
        ]
