"""The grammar of darknet's `.cfg`: sections of `key=value` lines, and typed access to them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ..errors import InvalidCfg, nearest_hint

# Far above every published file; what is larger is a mistake or an attack.
MAX_CHARACTERS = 1 << 20
MAX_SECTIONS = 4096
MAX_OPTIONS = 256
MAX_LIST = 4096

ALIASES = {
    "network": "net",
    "conv": "convolutional",
    "max": "maxpool",
    "local_avg": "local_avgpool",
    "avg": "avgpool",
    "conn": "connected",
    "soft": "softmax",
    "lrn": "normalization",
    "silence": "empty",
}

# What C's atoi and atof read, cut to sizes that a network can have. Darknet ignores whatever
# follows a number; here only a comment may.
_INTEGER = re.compile(r"([+-]?\d{1,12})(?:\.0*)?(?=[#;/]|$)", re.ASCII)
_NUMBER = re.compile(
    r"([+-]?(?:\d{1,18}(?:\.\d{0,30})?|\.\d{1,30})(?:[eE][+-]?\d{1,2})?)(?=[#;/]|$)", re.ASCII
)
_COMMENT = re.compile(r"[#;].*")
_BLANKS = str.maketrans("", "", " \t\r\n")


@dataclass(frozen=True)
class Option:
    """One value as it was written, white space removed, and the line that it stands on."""

    text: str
    line: int


@dataclass(frozen=True)
class Section:
    """One section of a `.cfg`: what it is, where it stands, what it sets.

    Attributes:
        kind: the name in brackets, aliases resolved (`conv` is `convolutional`).
        line: where it begins, counted from 1.
        options: by key; of a key given twice the first counts, as in darknet.
        source: the file, for messages.
    """

    kind: str
    line: int
    options: Mapping[str, Option]
    source: str

    def error(self, problem: str, fix: str, *, option: str = "") -> InvalidCfg:
        """The error to raise about this section, or about one option of it."""
        line = self.options[option].line if option in self.options else self.line
        return InvalidCfg(self.source, line, self.kind, problem, fix)

    def integer(self, key: str, default: int, *, low: int = 0, high: int = 1 << 16) -> int:
        """A whole number from `low` to `high`, both included.

        Raises:
            InvalidCfg: it is no whole number, or out of range.
        """
        if key not in self.options:
            return default
        value = self._parse_integer(key, self.options[key].text)
        return int(self._in_range(key, value, low, high))

    def number(self, key: str, default: float, *, low: float = -1e9, high: float = 1e9) -> float:
        """A number from `low` to `high`, both included.

        Raises:
            InvalidCfg: it is no number, or out of range.
        """
        if key not in self.options:
            return default
        value = self._parse_number(key, self.options[key].text)
        return self._in_range(key, value, low, high)

    def flag(self, key: str) -> bool:
        """Whether the option is given and not 0."""
        return self.integer(key, 0, low=-(1 << 31), high=1 << 31) != 0

    def word(self, key: str, default: str) -> str:
        """A word. A comment behind it is part of it: darknet strips none."""
        return self.options[key].text if key in self.options else default

    def integers(self, key: str) -> tuple[int, ...]:
        """Whole numbers with commas between; empty where the option is absent.

        Raises:
            InvalidCfg: one of them is no whole number.
        """
        return tuple(self._parse_integer(key, item) for item in self._items(key))

    def numbers(self, key: str) -> tuple[float, ...]:
        """Numbers with commas between; empty where the option is absent.

        Raises:
            InvalidCfg: one of them is no number.
        """
        return tuple(self._parse_number(key, item) for item in self._items(key))

    def _items(self, key: str) -> list[str]:
        if key not in self.options:
            return []
        items = _COMMENT.sub("", self.options[key].text).split(",")
        if len(items) > MAX_LIST:
            raise self.error(
                f"{key} lists {len(items)} values", f"Give at most {MAX_LIST}", option=key
            )
        return items

    def _parse_integer(self, key: str, text: str) -> int:
        found = _INTEGER.match(text)
        if not found:
            raise self._unreadable(key, text, "a whole number")
        return int(found[1])

    def _parse_number(self, key: str, text: str) -> float:
        found = _NUMBER.match(text)
        if not found:
            raise self._unreadable(key, text, "a number")
        return float(found[1])

    def _unreadable(self, key: str, text: str, expected: str) -> InvalidCfg:
        return self.error(
            f"{key}={_shown(text)} is not {expected}", f"Write {expected}", option=key
        )

    def _in_range(self, key: str, value: float, low: float, high: float) -> float:
        if not low <= value <= high:
            raise self.error(
                f"{key}={value:g} is out of range", f"Use {low:g} to {high:g}", option=key
            )
        return value


def parse_cfg(text: str, source: str) -> tuple[Section, ...]:
    """Split the text of a `.cfg` into its sections, `[net]` first.

    White space does not count anywhere; empty lines and lines that begin with `#` or `;` are
    skipped. What the sections mean is not looked at.

    Args:
        text: of the whole file.
        source: the file's name, for messages.

    Raises:
        InvalidCfg: names the line that darknet's grammar does not allow, or a file beyond all size.
    """
    if len(text) > MAX_CHARACTERS:
        raise InvalidCfg(
            source, 1, "", f"{len(text)} characters", f"A cfg has at most {MAX_CHARACTERS}"
        )
    begun: list[tuple[str, int, dict[str, Option]]] = []
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        line = raw.translate(_BLANKS)
        if not line or line[0] in "#;\0":
            continue
        if line[0] == "[":
            kind = _section_name(line, number, source)
            begun.append((ALIASES.get(kind, kind), number, {}))
            if len(begun) > MAX_SECTIONS:
                raise InvalidCfg(
                    source, number, kind, "too many sections", f"Use at most {MAX_SECTIONS}"
                )
        elif not begun:
            problem = f"{_shown(line)} stands before the first section"
            raise InvalidCfg(source, number, "", problem, "Begin the file with [net]")
        else:
            _add_option(begun[-1], line, number, source)
    sections = tuple(
        Section(kind, line, MappingProxyType(options), source) for kind, line, options in begun
    )
    _check_net(sections, source)
    return sections


def _section_name(line: str, number: int, source: str) -> str:
    name, bracket, _ = line[1:].partition("]")
    if not bracket:
        raise InvalidCfg(source, number, "", f"{_shown(line)} has no ']'", "Close the bracket")
    return name


def _add_option(
    section: tuple[str, int, dict[str, Option]], line: str, number: int, source: str
) -> None:
    kind, _, options = section
    key, equals, value = line.partition("=")
    if not equals or not key:
        raise InvalidCfg(
            source,
            number,
            kind,
            f"{_shown(line)} is not of the form key=value",
            "Write key=value, or put # in front to leave it out",
        )
    if len(options) >= MAX_OPTIONS:
        raise InvalidCfg(source, number, kind, "too many options", f"Use at most {MAX_OPTIONS}")
    options.setdefault(key, Option(value, number))


def _check_net(sections: tuple[Section, ...], source: str) -> None:
    if not sections:
        raise InvalidCfg(source, 1, "", "the file has no sections", "Begin it with [net]")
    if sections[0].kind != "net":
        hint = nearest_hint(sections[0].kind, ["net", "network"])
        raise sections[0].error(
            "the first section is not [net]", f"{hint} Begin the file with [net]".strip()
        )
    for section in sections[1:]:
        if section.kind == "net":
            raise section.error("a second [net]", "Describe one network in a file")


def _shown(text: str) -> str:
    """A value for a message, cut to a readable length."""
    return repr(text if len(text) <= 40 else text[:40] + "…")
