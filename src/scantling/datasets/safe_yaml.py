"""YAML as plain data: texts, lists and mappings; no aliases, tags, or guesses at what is meant.

Every value stays the text that was written, so that a class called `no` or `1.10` keeps its name.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ..errors import InvalidData
from .problems import data_error
from .safe_text import check_utf8, read_small

MAX_BYTES = 2**22
MAX_DEPTH = 32

# libyaml where PyYAML was built with it: ten times as fast, and the same events.
LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)

Yaml = Any  # str, list of Yaml, or dict from str to Yaml


def read_yaml(path: Path) -> tuple[Yaml, dict[str, int]]:
    """The content of a YAML file, and the line of each key of its outermost mapping.

    Raises:
        InvalidData: E101, E102, E230; E103 it is not YAML, has a key twice or more than one
            document; E104 it has anchors, aliases or tags, or is nested deeper than `MAX_DEPTH`.
    """
    return parse_yaml(read_small(path, max_bytes=MAX_BYTES), path)


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
