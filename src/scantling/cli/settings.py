"""`--set NAME=VALUE`: the rarer settings of a command, checked all at once."""

import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any, get_type_hints

from typer.models import ArgumentInfo

from ..errors import InvalidSettings, nearest_hint


@dataclass(frozen=True)
class Setting:
    """Marks a field that few people need.

    Args:
        help: what it is.
        min: the least that it may be.
    """

    help: str
    min: float | None = None


def find_marks(options: Callable[..., object], kind: type) -> dict[str, Any]:
    """The marks of a kind, by the name of their field."""
    hints = get_type_hints(options, include_extras=True)
    return {
        name: mark
        for name, hint in hints.items()
        for mark in getattr(hint, "__metadata__", ())
        if isinstance(mark, kind)
    }


def spell(options: Callable[..., object], name: str) -> str:
    """How a field is given on the command line: `MODEL`, `--image-size`, or `--set nms`."""
    if name in find_marks(options, Setting):
        return f"--set {name}"
    argument = find_marks(options, ArgumentInfo).get(name)
    if argument is not None:
        return str(argument.metavar or name)
    return f"--{name.replace('_', '-')}"


def read_settings(
    options: Callable[..., object], words: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    """The settings of a command, each of the type of its field.

    Args:
        options: the dataclass of the command.
        words: `NAME=VALUE`, or the name of a TOML file; a later word wins.

    Returns:
        The values by name; and the words that are not ours, where `options` has a field `set` for
        them.

    Raises:
        InvalidSettings: all that is wrong: no `=`, no such name, not of its type.
    """
    from pydantic import TypeAdapter, ValidationError

    known, types = find_marks(options, Setting), get_type_hints(options)
    found: dict[str, Any] = {}
    rest, problems = [], []
    files = "set" not in types  # else the command reads its own
    for word, name, text in _split(words, files=files):
        if name not in known:
            rest.append(word)
            problems += [_unknown(options, word, name)] if files else []
            continue
        try:
            found[name] = TypeAdapter(types[name]).validate_python(text)
        except ValidationError as error:
            message = error.errors()[0]["msg"]
            problems.append(f"{name}: {text!r} given; {message[:1].lower()}{message[1:]}")
            continue
        least = known[name].min
        if least is not None and found[name] < least:
            problems.append(f"{name}: {text!r} given; expected {least:g} or more")
    if problems:
        raise InvalidSettings(problems)
    return found, rest


def _split(words: Sequence[str], *, files: bool) -> Iterator[tuple[str, str, str]]:
    """(the word, its name, its value) of each word, and of each line of a file that is named."""
    for word in words:
        name, sign, text = word.partition("=")
        if sign or not files or not word.endswith(".toml"):
            yield word, name.strip(), text.strip()
            continue
        try:
            content = tomllib.loads(Path(word).read_text("utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InvalidSettings([f"{word}: cannot be read as TOML: {error}"]) from error
        for key, value in content.items():
            yield f"{key}={value}", key, str(value)


def _unknown(options: Callable[..., object], word: str, name: str) -> str:
    if "=" not in word:
        return f"{word!r}: expected NAME=VALUE, or a .toml file"
    known = find_marks(options, Setting)
    if name in signature(options).parameters:
        return f"{name}: is an option of its own: {spell(options, name)}"
    return f"{name}: there is no such setting.{nearest_hint(name, known)} Known: {', '.join(known)}"
