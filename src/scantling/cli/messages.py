"""What commands say beside their results, on standard error."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from .values import printable


def note(text: str) -> None:
    """Tell the user something that was concluded without being asked for."""
    typer.echo(f"scantling: {printable(text)}", err=True)


@contextmanager
def download_bar() -> Iterator[Callable[[int, int], None]]:
    """A progress bar that shows itself once a download tells how far it is, on a terminal only."""
    bar = Progress(
        TextColumn("downloading"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )
    task = bar.add_task("download", visible=False)

    def show(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total, visible=True)

    with bar:
        yield show
