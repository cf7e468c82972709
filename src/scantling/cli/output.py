"""What commands give back beside their results: exit codes, notes and progress bars."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

import typer

from ..errors import printable

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

# What the exit codes of every command mean.
WORKED = 0
BUG = 1  # Python's own for an exception that nobody caught
USER_CAN_FIX = 2  # the message says how
CHECK_FAILED = 3
INTERRUPTED = 130  # Ctrl-C
BROKEN_PIPE = 141  # the reader of the output left
TERMINATED = 143

SECONDS_BETWEEN_DRAWS = 0.25  # of a progress bar that must not disturb what it shows


def note(text: str) -> None:
    """Tell the user something that was concluded without being asked for."""
    typer.echo(f"scantling: {printable(text)}", err=True)


class _Notes(logging.Handler):
    """Prints what the package logs, a line each, as notes; what is logged again is not repeated."""

    def __init__(self) -> None:
        super().__init__()
        self._printed: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        mark = "WARNING: " if record.levelno >= logging.WARNING else ""
        text = mark + record.getMessage()
        if text not in self._printed:
            self._printed.add(text)
            note(text)


@contextmanager
def logged_as_notes() -> Iterator[None]:
    """Print what the package logs; of several processes that work together, the first one does."""
    logger, first = logging.getLogger("scantling"), os.environ.get("RANK", "0") == "0"
    handler = _Notes() if first else logging.NullHandler()  # without any, Python prints warnings
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before


def progress_bar(*columns: "str | ProgressColumn", **more: Any) -> "Progress":
    """A progress bar on standard error, on a terminal only."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    return Progress(*columns, console=console, disable=not sys.stderr.isatty(), **more)


@contextmanager
def download_bar() -> Iterator[Callable[[int, int], None]]:
    """A bar that shows itself once a download tells how far it is."""
    from rich.progress import BarColumn, DownloadColumn, TransferSpeedColumn

    columns = ("downloading", BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with progress_bar(*columns) as bar:
        task = bar.add_task("download", visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)


@contextmanager
def image_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with images a second, which shows itself with the first image."""
    from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn

    rate = "{task.fields[rate]:.1f} images/s"
    start = perf_counter()
    with progress_bar(what, BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn()) as bar:
        task = bar.add_task(what, total=None, rate=0.0, visible=False)

        def show(done: int, total: int) -> None:
            now = done / max(1e-9, perf_counter() - start)
            bar.update(task, completed=done, total=total, rate=now, visible=True)

        yield show


@contextmanager
def phase_bar() -> Iterator[Callable[[str, float], None]]:
    """A bar that says what is going on. It is drawn by the thread that measures, and seldom."""
    from rich.progress import BarColumn, TaskProgressColumn, TimeElapsedColumn

    columns = ("{task.description}", BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with progress_bar(*columns, auto_refresh=False) as bar:
        task, last = bar.add_task("", total=1.0), float("-inf")

        def show(phase: str, share: float) -> None:
            nonlocal last
            bar.update(task, description=phase, completed=share)
            if perf_counter() - last > SECONDS_BETWEEN_DRAWS:
                bar.refresh()
                last = perf_counter()

        yield show
