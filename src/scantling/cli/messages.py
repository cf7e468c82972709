"""What commands say beside their results, on standard error."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from ..errors import printable

SELDOM = 0.25  # seconds between two pictures of a bar that must not be in the way


def note(text: str) -> None:
    """Tell the user something that was concluded without being asked for."""
    typer.echo(f"scantling: {printable(text)}", err=True)


class _Notes(logging.Handler):
    """Prints what the package logs, a line each, as notes."""

    def emit(self, record: logging.LogRecord) -> None:
        mark = "WARNING: " if record.levelno >= logging.WARNING else ""
        note(mark + record.getMessage())


@contextmanager
def logged_as_notes() -> Iterator[None]:
    """Print what the package logs; of several processes that work together, the first one does."""
    logger, handler = logging.getLogger("scantling"), _Notes()
    before = logger.level, logger.propagate
    if os.environ.get("RANK", "0") == "0":
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before


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


@contextmanager
def phase_bar() -> Iterator[Callable[[str, float], None]]:
    """A progress bar that says what is going on, on a terminal only."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
        auto_refresh=False,  # drawn by the thread that measures, and seldom
    )
    task = bar.add_task("", total=1.0)
    last = float("-inf")

    def show(phase: str, share: float) -> None:
        nonlocal last
        bar.update(task, description=phase, completed=share)
        if perf_counter() - last > SELDOM:
            bar.refresh()
            last = perf_counter()

    with bar:
        yield show
