"""Read large JSON files with line numbers of their items."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .findings import data_error
from .safe_text import check_utf8, read_small

# In memory a file of numbers takes some 10 times its size, one of nothing but brackets 30 times.
MAX_BYTES = 2**31

# Whole numbers that are ids lie below, as in every data base: of larger ones somebody may choose as
# many as they like with one and the same hash.
MAX_ID = 2**63 - 1

_SPACE = re.compile(r"[ \t\r\n]*")


def read_json(path: Path) -> tuple[Any, str]:
    """The content of a JSON file, and its text, for `find_lines`.

    NaN and Infinity, which JSON does not have but Python writes, come as such numbers.

    Raises:
        InvalidData: E101, E102, E230; E103 it is not JSON; E104 it is nested too deep.
    """
    return parse_json(read_small(path, max_bytes=MAX_BYTES), path)


def parse_json(data: bytes, path: Path) -> tuple[Any, str]:
    """As `read_json`, of what is in memory; `path` is what the error calls it."""
    text = check_utf8(data, path).decode("utf-8")
    del data
    try:
        return json.loads(text), text
    except json.JSONDecodeError as error:
        problem = f"is not JSON: {error.msg} (column {error.colno})"
        raise data_error("E103", path, problem, line=error.lineno) from error
    except RecursionError as error:
        raise data_error("E104", path, "lists or objects are nested too deep") from error
    except ValueError as error:  # a whole number of thousands of digits
        raise data_error("E103", path, f"is not JSON that can be read: {error}") from error


def is_id(value: object) -> bool:
    """Whether a value can be an id, and the key of a dictionary: text, or a whole number."""
    return type(value) is str or (type(value) is int and -MAX_ID <= value <= MAX_ID)


def find_lines(text: str, key: str, places: Iterable[int]) -> dict[int, int]:
    """On which line, from 1, the items of one list of the outermost object begin.

    The text is decoded once more for it, up to the last place, so this is for reports only.

    Args:
        text: JSON that was read without error.
        key: of a list in the outermost object.
        places: of items in that list, from 0.
    """
    wanted = set(places)
    if "\n" not in text:
        return dict.fromkeys(wanted, 1)
    starts = _find_starts(text, key, wanted)
    lines, line, before = {}, 1, 0
    for place, start in sorted(starts.items()):
        line += text.count("\n", before, start)
        lines[place], before = line, start
    return lines


def _find_starts(text: str, key: str, wanted: set[int]) -> dict[int, int]:
    decode = json.JSONDecoder().raw_decode
    found: dict[int, int] = {}  # of a key that is there twice the last one counts, as in JSON
    position = _skip(text, 0) + 1
    while text[position := _skip(text, position)] != "}":
        name, position = decode(text, position)
        position = _skip(text, _skip(text, position) + 1)
        if name == key and text[position] == "[":
            found, position = _find_items(text, position, wanted)
        else:
            _, position = decode(text, position)
        position = _skip(text, position)
        position += text[position] == ","
    return found


def _find_items(text: str, position: int, wanted: set[int]) -> tuple[dict[int, int], int]:
    """Where the wanted items of a list begin, and where the list ends."""
    decode = json.JSONDecoder().raw_decode
    found: dict[int, int] = {}
    position = _skip(text, position + 1)
    place = 0
    while text[position] != "]":
        if place in wanted:
            found[place] = position
        _, position = decode(text, position)
        position = _skip(text, position)
        position = _skip(text, position + 1) if text[position] == "," else position
        place += 1
    return found, position + 1


def _skip(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    return space.end() if space else position
