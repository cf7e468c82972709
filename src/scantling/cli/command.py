"""A dataclass of arguments, options and settings as a command: reading them, and their help.

Settings are the rarer ones, `--set NAME=VALUE`, checked all at once.
"""

import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer
from typer.models import ArgumentInfo

from ..errors import InvalidSettings, InvalidValue, nearest_hint, unreadable
from ..io import count_cores, open_regular
from .output import BROKEN_PIPE

Options = TypeVar("Options")
OPTIONS = "Options"  # the panel of what belongs to no other
MOST = {int: 2**31 - 1, float: 1e30}  # that a number may be, by its type, where no less is said
MOST_STREAMS = 8  # that `auto` takes: each has a copy of the network's working memory
SET_HELP = "One of the settings below, or a .toml file of them; may be repeated."


@dataclass(frozen=True)
class Setting:
    """Marks a field that few people need.

    Args:
        help: what it is.
        min: the least that it may be.
        max: the most.
    """

    help: str
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True)
class FromEnvironment:
    """Marks a path that is the same for all commands, taken from an environment variable alone."""

    variable: str
    help: str


def option(panel: str, text: str, *names: str, rare: bool = False, **more: Any) -> Any:
    """Marks a field that is an option.

    Args:
        panel: of the help that it stands in.
        text: what it is. `{package.module:TABLE}` in it becomes the names in a table of ours.
        names: how it is spelt, where that is not the name of its field.
        rare: leave it out of `--help`; `--help-all` has it.
        more: as of `typer.Option`.
    """
    return typer.Option(*names, help=text, rich_help_panel=panel, hidden=rare, **more)


def as_command(options: Callable[..., Options], run: Callable[[Options], int]) -> Any:
    """A function that typer can read: one parameter per argument and option of `options`.

    An `InvalidValue` of a field names it as it is given on the command line.

    Args:
        options: a dataclass of arguments, options and settings.
        run: what to do with them; returns the exit code. Its docstring becomes the help.
    """

    def command(**given: Any) -> None:
        try:
            filled = fill(options, given)
            _check_values(filled)
            raise typer.Exit(run(options(**filled)))
        except BrokenPipeError:
            # the reader left (`| head`); Python would complain when it flushes at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(BROKEN_PIPE) from None
        except InvalidValue as error:
            if error.setting not in fields:
                raise
            raise InvalidValue(
                spell(options, error.setting), error.given, error.expected
            ) from error

    fields = inspect.signature(options).parameters
    parameters = list_parameters(options)
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    command.__doc__ = run.__doc__
    return command


def list_parameters(options: Callable[..., object]) -> list[inspect.Parameter]:
    """The parameters of a command: the arguments and options, `--set` if it has settings, help."""
    hints = get_type_hints(options, include_extras=True)
    settings = find_marks(options, Setting)
    places = find_marks(options, FromEnvironment)
    absent = settings.keys() | places.keys()
    fields = inspect.signature(options).parameters
    kept = [
        one.replace(annotation=hints[name]) for name, one in fields.items() if name not in absent
    ]
    marks = [mark for one in kept for mark in one.annotation.__metadata__]
    panels = [mark.rich_help_panel for mark in marks if not mark.hidden]
    if settings and "set" not in hints:
        rare = option(panels[-1], SET_HELP, metavar="NAME=VALUE", rare=True)
        kept.append(_keyword("set", Annotated[list[str] | None, rare]))
    shown = {name: (mark, fields[name].default) for name, mark in settings.items()}
    kept.append(_keyword("help", help_option(panels[-1], shown, places.values())))
    return kept


def fill(options: Callable[..., object], given: dict[str, Any]) -> dict[str, Any]:
    """What the command line says, with the settings behind `--set` and in the environment."""
    filled = {name: value for name, value in given.items() if name != "help"}
    for name, place in find_marks(options, FromEnvironment).items():
        filled[name] = Path(os.environ[place.variable]) if os.environ.get(place.variable) else None
    words = filled.pop("set", None)
    if words:
        values, rest = read_settings(options, words)
        filled |= values
        if rest:
            filled["set"] = rest
    return filled


def _check_values(filled: Mapping[str, Any]) -> None:
    """Refuse what no option means, and what neither arithmetic nor a file system bears.

    Raises:
        InvalidValue: a number larger than any is, or that is none; a zero byte in a text or path.
    """
    for name, value in filled.items():
        if isinstance(value, (str, Path)) and "\0" in str(value):
            raise InvalidValue(name, str(value), "text without a zero byte")
        most = MOST.get(type(value))
        if most is not None and not abs(value) <= most:
            raise InvalidValue(name, value, f"a number up to {most:g}")


def help_option(
    panel: str = OPTIONS,
    settings: Mapping[str, tuple[Setting, Any]] | None = None,
    places: Iterable[FromEnvironment] = (),
) -> Any:
    """`--help`, which shows what most people use, and `--help-all`: two forms of one option."""

    def show(context: typer.Context, shown: bool | None) -> None:
        if shown is None or context.resilient_parsing:
            return
        for parameter in context.command.params:
            parameter.help = _with_names(parameter.help or "")  # type: ignore[attr-defined]
            parameter.hidden = shown and parameter.hidden  # type: ignore[attr-defined]
        typer.echo(context.get_help())
        if settings and not shown:
            _print_settings(settings)
        for place in () if shown else places:
            typer.echo(f" ${place.variable}: {place.help}")
        raise typer.Exit

    return Annotated[
        bool | None,
        typer.Option(
            "--help/--help-all",
            metavar="",
            help="Show the options that most people use; or all.",
            callback=show,
            is_eager=True,
            expose_value=False,
            rich_help_panel=panel,
        ),
    ]


def _keyword(name: str, annotation: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=None, annotation=annotation)


def _print_settings(settings: Mapping[str, tuple[Setting, Any]]) -> None:
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    for name, (setting, default) in settings.items():
        usual = "" if default is None else f"  [default: {default}]"
        table.add_row(name, _with_names(setting.help) + usual)
    Console(markup=False).print(
        Panel(table, title="Settings: --set NAME=VALUE", title_align="left")
    )


def _with_names(text: str) -> str:
    """The text of a help with the names in its tables, which are imported only to be shown."""

    def names(found: re.Match[str]) -> str:
        return ", ".join(getattr(import_module(f"...{found[1]}", __name__), found[2]))

    return re.sub(r"\{([\w.]+):(\w+)\}", names, text)


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
        least, most = known[name].min, known[name].max
        if least is not None and found[name] < least:
            problems.append(f"{name}: {text!r} given; expected {least:g} or more")
        if most is not None and found[name] > most:
            problems.append(f"{name}: {text!r} given; expected {most:g} or less")
    if problems:
        raise InvalidSettings(problems)
    return found, rest


def _split(words: Sequence[str], *, files: bool) -> Iterator[tuple[str, str, str]]:
    """(the word, its name, its value) of each word, and of each line of a file that is named."""
    from ..specs.parsing import MAX_BYTES, parse_toml

    for word in words:
        name, sign, text = word.partition("=")
        if sign or not files or not word.endswith(".toml"):
            yield word, name.strip(), text.strip()
            continue
        try:
            with open_regular(Path(word)) as file:
                content = parse_toml(file.read(MAX_BYTES + 1).decode("utf-8-sig"))
        except OSError as error:
            raise InvalidSettings([f"{word}: {unreadable(error)}"]) from error
        except ValueError as error:
            raise InvalidSettings([f"{word}: cannot be read as TOML: {error}"]) from error
        for key, value in content.items():
            yield f"{key}={value}", key, str(value)


def _unknown(options: Callable[..., object], word: str, name: str) -> str:
    if "=" not in word:
        return f"{word!r}: expected NAME=VALUE, or a .toml file"
    known = find_marks(options, Setting)
    if name in inspect.signature(options).parameters:
        return f"{name}: is an option of its own: {spell(options, name)}"
    return f"{name}: there is no such setting.{nearest_hint(name, known)} Known: {', '.join(known)}"


def parse_image_size(text: str | None, *, option: str = "--image-size") -> tuple[int, int] | None:
    """`416` → (416, 416); `384x640` → (384, 640), height first; None stays None."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text)
    if not found:
        raise InvalidValue(option, text, "a side such as 416, or a HEIGHTxWIDTH as 384x640")
    height, width = found.groups()
    return int(height), int(width or height)


def parse_classes(given: str | None) -> tuple[str, ...] | None:
    """`person,car` → the names; None stays None."""
    return None if given is None else tuple(one.strip() for one in given.split(","))


def parse_class_scores(given: str | None) -> dict[str | int, float] | None:
    """`person=0.5,car=0.3` → the threshold of each class; None stays None.

    Raises:
        InvalidValue: it is not of that form.
    """
    if given is None:
        return None
    found: dict[str | int, float] = {}
    for part in given.split(","):
        name, _, score = part.rpartition("=")
        try:
            found[name.strip()] = float(score)
        except ValueError:
            raise InvalidValue("class_scores", given, "such as person=0.5,car=0.3") from None
    return found


def parse_streams(text: str, *, many: bool) -> int:
    """`N`, or `auto`: one for each core where there are many images, else one.

    Raises:
        InvalidValue: neither.
    """
    if text == "auto":
        return min(MOST_STREAMS, count_cores()) if many else 1
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= 1024:
        raise InvalidValue("streams", text, "a number from 1 to 1024, or auto")
    return int(text[:9])
