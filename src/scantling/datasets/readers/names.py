"""Check class names: none empty, none twice, and none nearly twice."""

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from ..problems import Problems, data_error, shorten
from ..safe_text import read_text

MAX_BYTES = 2**22


def check_names(
    names: Sequence[str], file: Path, *, problems: Problems, source: Path | None = None
) -> tuple[str, ...]:
    """The names without white space around them; W113 where two differ only in spelling.

    Raises:
        InvalidData: E110 there are none; E108 one is empty; E107 two are the same.
    """
    if not names:
        raise data_error("E110", file, "names no classes", source=source)
    stripped = [name.strip() for name in names]
    places: dict[str, int] = {}
    for place, name in enumerate(stripped):
        if not name:
            raise data_error("E108", file, f"class {place} has an empty name", source=source)
        if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
            problem = f"class {place} is called {shorten(name)}; expected plain text"
            raise data_error("E108", file, problem, source=source)
        if name in places:
            problem = f"classes {places[name]} and {place} are both called {shorten(name)}"
            raise data_error("E107", file, problem, source=source)
        places[name] = place
    alike: dict[str, list[str]] = defaultdict(list)
    for name in stripped:
        alike[_spelling(name)].append(name)
    for group in alike.values():
        if len(group) > 1:
            shown = ", ".join(shorten(name) for name in group[:10])
            problems.add("W113", f"{shown} differ only in case, spaces, hyphens or underscores",
                         file)  # fmt: skip
    return tuple(stripped)


def read_names_file(path: Path, *, problems: Problems) -> tuple[str, ...]:
    """The names of a file with one a line; empty lines at its end do not count.

    Raises:
        InvalidData: the file cannot be read, or as `check_names`.
    """
    lines = [line.strip() for line in read_text(path, max_bytes=MAX_BYTES).split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return check_names(lines, path, problems=problems)


def _spelling(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter not in " \t_-")
