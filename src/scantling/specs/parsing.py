"""Small files of others as plain values: JSON and TOML, neither so deep nor so long that it hurts.

The large JSON of data sets is read by `datasets.safe_json`.
"""

import json
import re
import tomllib
from typing import Any

MAX_DEPTH = 64  # of tables and lists within others
MAX_BYTES = 1 << 20  # of a TOML file
# A dotted key of more parts than any setting: each part would cost as much as all before it.
_PART = r"(?:[\w-]++|\"(?>(?:[^\"\\\n]|\\.)*)\"|'[^'\n]*+')[ \t]*+\.[ \t]*+"
_LONG_KEY = re.compile(f"(?<![\\w-])(?:{_PART}){{{MAX_DEPTH}}}")


def parse_json(data: str | bytes) -> Any:
    """The value that JSON describes; of bytes, in UTF-8.

    Raises:
        ValueError: it is no JSON, holds NaN or infinity, or is nested deeper than `MAX_DEPTH`.
    """
    text = data.decode("utf-8") if isinstance(data, bytes) else data
    try:
        return _checked(json.loads(text, parse_constant=_refuse_constant))
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error


def parse_toml(text: str) -> dict[str, Any]:
    """The tables that TOML describes.

    Raises:
        ValueError: it is no TOML, longer than `MAX_BYTES`, or deeper than `MAX_DEPTH`.
    """
    if len(text) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES:,} letters")
    if _LONG_KEY.search(text):
        raise ValueError(f"a name has more than {MAX_DEPTH} parts")
    try:
        content: dict[str, Any] = _checked(tomllib.loads(text))
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error
    return content


_TOO_DEEP = f"lists or tables are nested more than {MAX_DEPTH} deep"


def _checked(value: Any) -> Any:
    """A value, known not to be too deep for whoever looks into it."""
    pending = [(value, 0)]
    while pending:
        part, depth = pending.pop()
        if isinstance(part, (dict, list)):
            if depth == MAX_DEPTH:
                raise ValueError(_TOO_DEEP)
            inner = part.values() if isinstance(part, dict) else part
            pending.extend((one, depth + 1) for one in inner)
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")
