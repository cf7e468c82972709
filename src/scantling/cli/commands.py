"""From a dataclass of options and a function to a command of the terminal."""

import inspect
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar, get_type_hints

import typer

from .exit_codes import BROKEN_PIPE

Options = TypeVar("Options")


def as_command(options: Callable[..., Options], run: Callable[[Options], int]) -> Any:
    """A function that typer can read: one parameter per field of `options`.

    Args:
        options: a dataclass, its fields annotated with `typer.Option` or `typer.Argument`.
        run: what to do with them; returns the exit code. Its docstring becomes the help.
    """

    def command(**given: object) -> None:
        try:
            raise typer.Exit(run(options(**given)))
        except BrokenPipeError:
            # the reader left (`| head`); Python would complain when it flushes at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(BROKEN_PIPE) from None

    hints = get_type_hints(options, include_extras=True)
    fields = inspect.signature(options).parameters.values()
    parameters = [field.replace(annotation=hints[field.name]) for field in fields]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = hints
    command.__doc__ = run.__doc__
    return command
