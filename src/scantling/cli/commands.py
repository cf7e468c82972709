"""From a dataclass of options and a function to a command of the terminal.

Fields annotated with `option(…)` or `typer.Argument` stand on the command line. Fields with a
`Setting` are rarer: they are given as `--set NAME=VALUE`, by the name of the field.
"""

import inspect
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from .output import BROKEN_PIPE

Options = TypeVar("Options")
OPTIONS = "Options"  # the panel of what belongs to no other
SET_HELP = "One of the settings below, or a .toml file of them; may be repeated."


@dataclass(frozen=True)
class Setting:
    """Marks a field that few people need.

    Args:
        help: what it is.
        min: the least that it may be.
    """

    help: str
    min: float | None = None


@dataclass(frozen=True)
class FromEnvironment:
    """Marks a path that is the same for all commands, taken from an environment variable alone."""

    variable: str


def option(panel: str, text: str, *names: str, rare: bool = False, **more: Any) -> Any:
    """Marks a field that is an option.

    Args:
        panel: of the help that it stands in.
        text: what it is.
        names: how it is spelt, where that is not the name of its field.
        rare: leave it out of `--help`; `--help-all` has it.
        more: as of `typer.Option`.
    """
    return typer.Option(*names, help=text, rich_help_panel=panel, hidden=rare, **more)


def as_command(options: Callable[..., Options], run: Callable[[Options], int]) -> Any:
    """A function that typer can read: one parameter per argument and option of `options`.

    Args:
        options: a dataclass of arguments, options and settings.
        run: what to do with them; returns the exit code. Its docstring becomes the help.
    """

    def command(**given: Any) -> None:
        try:
            raise typer.Exit(run(options(**fill(options, given))))
        except BrokenPipeError:
            # the reader left (`| head`); Python would complain when it flushes at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(BROKEN_PIPE) from None

    parameters = list_parameters(options)
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    command.__doc__ = run.__doc__
    return command


def list_parameters(options: Callable[..., object]) -> list[inspect.Parameter]:
    """The parameters of a command: the arguments and options, `--set` if it has settings, help."""
    hints = get_type_hints(options, include_extras=True)
    settings = find_marks(options, Setting)
    absent = settings.keys() | find_marks(options, FromEnvironment).keys()
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
    kept.append(_keyword("help", help_option(panels[-1], shown)))
    return kept


def fill(options: Callable[..., object], given: dict[str, Any]) -> dict[str, Any]:
    """What the command line says, with the settings behind `--set` and in the environment."""
    filled = {name: value for name, value in given.items() if name != "help"}
    for name, place in find_marks(options, FromEnvironment).items():
        filled[name] = Path(os.environ[place.variable]) if os.environ.get(place.variable) else None
    words = filled.pop("set", None)
    if words:
        from .settings import read_settings

        values, rest = read_settings(options, words)
        filled |= values
        if rest:
            filled["set"] = rest
    return filled


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
    """How a field is given on the command line: `--image-size`, or `--set nms`."""
    if name in find_marks(options, Setting):
        return f"--set {name}"
    return f"--{name.replace('_', '-')}"


def help_option(
    panel: str = OPTIONS, settings: Mapping[str, tuple[Setting, Any]] | None = None
) -> Any:
    """`--help`, which shows what most people use, and `--help-all`: two forms of one option."""

    def show(context: typer.Context, shown: bool | None) -> None:
        if shown is None or context.resilient_parsing:
            return
        for parameter in () if shown else context.command.params:
            parameter.hidden = False  # type: ignore[attr-defined]
        typer.echo(context.get_help())
        if settings and not shown:
            _print_settings(settings)
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
        table.add_row(name, setting.help + usual)
    Console(markup=False).print(
        Panel(table, title="Settings: --set NAME=VALUE", title_align="left")
    )
