"""What `scantling predict` prints: a line an image, a progress bar, a summary."""

import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Self

import typer
from rich.console import Console
from rich.progress import Progress

from ..errors import InvalidSource, printable
from ..images import Frame, count_images
from ..inference import Prediction
from ..inference.outputs import to_record
from ..structures import Detections
from .output import USER_CAN_FIX, WORKED

LISTED = 100  # failures that are repeated at the end


class PredictionPrinter:
    """A line per image, a progress bar over many on a terminal, a summary at the end.

    Args:
        sources: what will be read; counted for the progress bar.
        as_json: print one JSON object per image, and nothing else, on standard output.
    """

    def __init__(self, sources: list[str], *, as_json: bool) -> None:
        self._as_json = as_json
        self._images = self._objects = self._failed = 0
        self._failures: list[str] = []
        self._seconds: Counter[str] = Counter()
        self._start = perf_counter()
        shown = sys.stderr.isatty()
        total = count_images(sources) if shown else None
        self._bar = Progress(
            console=Console(stderr=True),
            disable=not shown or total == 1,
            redirect_stdout=sys.stdout.isatty(),  # else the lines belong in a file or a pipe
        )
        self._task = self._bar.add_task("predict", total=total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def add(self, prediction: Prediction) -> None:
        """Print one image, and count it."""
        frame, found = prediction.frame, prediction.detections
        self._bar.advance(self._task)
        self._images += 1
        if self._as_json:
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
            )

    def finish(self, folder: Path | None) -> int:
        """Print the summary and what failed; return the exit code."""
        if not self._as_json and self._images > self._failed:
            typer.echo(self._summary())
        if not self._as_json and folder is not None:
            typer.echo(f"Saved in {printable(str(folder))}")
        if not self._failed:
            return WORKED
        typer.echo(f"scantling: {self._failed} of {self._images} could not be read:", err=True)
        for failure in self._failures:
            typer.echo(f"  {failure}", err=True)
        if self._failed > len(self._failures):
            typer.echo(f"  and {self._failed - len(self._failures)} more", err=True)
        return USER_CAN_FIX

    def _fail(self, frame: Frame) -> None:
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
        return (
            f"{count_of(good, 'image')}, {count_of(self._objects, 'object')} in {wall:.1f} s,"
            f" {good / wall:.1f} images/s. Milliseconds an image, overlapping: {stages}."
        )


def describe_frame(frame: Frame) -> str:
    """`dog.jpg`, or `road.mp4 [12]` for a frame of a video."""
    return printable(frame.name if frame.video is None else f"{frame.name} [{frame.index}]")


def describe(found: Detections) -> str:
    """`2 car, 1 dog`, most first; `nothing`."""
    counts = Counter(found.class_names).most_common()
    return ", ".join(f"{count} {printable(name)}" for name, count in counts) or "nothing"


def count_of(count: int, what: str) -> str:
    """`1 image`, `2 images`."""
    return f"{count} {what}{'' if count == 1 else 's'}"
