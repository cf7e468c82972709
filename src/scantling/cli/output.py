"""What commands print: notes, progress bars, what was found in an image; and their exit codes."""

import json
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self, TextIO

import typer

from ..errors import InvalidSource, as_message, counted, printable

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

    from ..images import Frame
    from ..inference import Prediction
    from ..structures import Detections

# What the exit codes of every command mean.
WORKED = 0
BUG = 1  # Python's own for an exception that nobody caught
USER_CAN_FIX = 2  # the message says how
CHECK_FAILED = 3
INTERRUPTED = 130  # Ctrl-C
BROKEN_PIPE = 141  # the reader of the output left
TERMINATED = 143

LISTED = 100  # failures that are repeated at the end
# How libraries say that they got no memory, in a RuntimeError.
_OUT_OF_MEMORY = ("allocate memory", "out of memory", "bad_alloc", "Failed to allocate")
SECONDS_BETWEEN_DRAWS = 0.25  # of a progress bar that must not disturb what it shows


def tell(text: object) -> None:
    """Tell the user something on standard error, whatever it quotes: see `as_message`."""
    typer.echo(as_message(f"scantling: {text}"), err=True)


def describe_excess(error: BaseException) -> str | None:
    """What to tell where something that was given is too large; None for another error.

    >>> describe_excess(OverflowError("int too large to convert to float"))
    'a number that was given is too large (int too large to convert to float). Give a smaller one.'
    """
    said = f" ({str(error)[:300]})" if str(error) else ""
    if isinstance(error, OverflowError):
        return f"a number that was given is too large{said}. Give a smaller one."
    if isinstance(error, RecursionError):
        return "what was given is nested too deep: lists or tables within others. Flatten it."
    if isinstance(error, MemoryError) or any(word in str(error) for word in _OUT_OF_MEMORY):
        return (
            f"there is not enough memory for this{said}. Use a smaller image size, fewer images at"
            " once, fewer workers, or a smaller file."
        )
    return None


def note(text: str) -> None:
    """Tell the user something that was concluded without being asked for, in one line."""
    tell(printable(text))


def is_terminal(stream: TextIO | None) -> bool:
    """Whether standard output or error is one; None where it was closed."""
    return stream is not None and stream.isatty()


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
    # says that there is no CUDA, to whoever has the compiler and no GPU
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
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
    return Progress(*columns, console=console, disable=not is_terminal(sys.stderr), **more)


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


class PredictionPrinter:
    """A line per image, a progress bar over many on a terminal, a summary at the end.

    Args:
        sources: what will be read; counted for the progress bar.
        as_json: print one JSON object per image, and nothing else, on standard output.
    """

    def __init__(self, sources: list[str], *, as_json: bool) -> None:
        from rich.console import Console
        from rich.progress import Progress

        from ..images import count_images

        self._as_json = as_json
        self._images = self._frames = self._objects = self._failed = self._reduced = 0
        self._failures: list[str] = []
        self._seconds: Counter[str] = Counter()
        self._start = perf_counter()
        shown = is_terminal(sys.stderr)
        total = count_images(sources) if shown else None
        self._bar = Progress(
            console=Console(stderr=True),
            disable=not shown or total == 1,
            redirect_stdout=is_terminal(sys.stdout),  # else the lines belong in a file or a pipe
        )
        self._task = self._bar.add_task("predict", total=total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def add(self, prediction: "Prediction") -> None:
        """Print one image, and count it."""
        frame, found = prediction.frame, prediction.detections
        self._bar.advance(self._task)
        self._images += 1
        self._frames += prediction.frame.video is not None
        self._reduced += frame.reduced
        if self._as_json:
            from ..inference.table_outputs import to_record

            typer.echo(json.dumps(to_record(frame, found)))
        if found is None:
            self._fail(frame)
            return
        seconds = asdict(prediction.seconds)
        self._seconds.update(seconds)
        self._objects += len(found)
        if not self._as_json:
            typer.echo(
                f"{describe_frame(frame)}: {describe(found)}  {sum(seconds.values()) * 1e3:.0f} ms"
                + ("  (a reduced copy)" if frame.reduced else "")
            )

    def finish(self, folder: Path | None) -> int:
        """Print the summary and what failed; return the exit code."""
        if not self._as_json and self._images > self._failed:
            typer.echo(self._summary())
        if not self._as_json and folder is not None:
            typer.echo(f"Saved in {printable(str(folder))}")
        if self._reduced:
            note(
                f"{counted(self._reduced, 'image')} decoded as reduced copies (--fast-decode):"
                " boxes and scores are near those of the whole images, not equal"
            )
        if not self._failed:
            return WORKED
        typer.echo(f"scantling: {self._failed} of {self._images} could not be read:", err=True)
        for failure in self._failures:
            typer.echo(f"  {failure}", err=True)
        if self._failed > len(self._failures):
            typer.echo(f"  and {self._failed - len(self._failures)} more", err=True)
        return USER_CAN_FIX

    def _fail(self, frame: "Frame") -> None:
        message = printable(str(InvalidSource(describe_frame(frame), frame.problem or "")))
        self._failed += 1
        if self._failed <= LISTED:
            self._failures.append(message)
        if not self._as_json:
            typer.echo(message)

    def _summary(self) -> str:
        """How much in how long, and where the time of an image went."""
        good = self._images - self._failed
        wall = perf_counter() - self._start
        stages = ", ".join(
            f"{stage} {seconds / good * 1e3:.1f}" for stage, seconds in self._seconds.items()
        )
        what, article = ("frame", "a") if self._frames == self._images else ("image", "an")
        return (
            f"{counted(good, what)}, {counted(self._objects, 'object')} in {wall:.1f} s,"
            f" {good / wall:.1f} {what}s/s. Milliseconds {article} {what}, overlapping: {stages}."
        )


def describe_frame(frame: "Frame") -> str:
    """`dog.jpg`, or `road.mp4 [12]` for a frame of a video."""
    return printable(frame.name if frame.video is None else f"{frame.name} [{frame.index}]")


def describe(found: "Detections") -> str:
    """`2 car, 1 dog`, most first; `nothing`."""
    counts = Counter(found.class_names).most_common()
    return ", ".join(f"{count} {printable(name)}" for name, count in counts) or "nothing"
