"""scantling demo — draw pictures, train a small detector on them, see how good it is."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import printable
from .command import Setting, option
from .options import INPUT, RESULT, JsonOption
from .output import WORKED, progress_bar

if TYPE_CHECKING:
    from ..demo import Demo
    from ..demo.run import Progress

RUN_FOLDER = Path("runs/demo")
GOOD_AP50 = 0.8  # what two minutes reach with room to spare
STAGES = {
    "draw": "Drawing pictures",
    "train": "Training from scratch",
    "evaluate": "Evaluating on held-out pictures",
    "predict": "Predicting",
}


@dataclass(frozen=True)
class DemoOptions:
    """The options of `scantling demo`."""

    minutes: Annotated[
        float,
        option(INPUT, "Time for training on two cores; the rest takes half a minute.", min=0.01),
    ] = 2.0
    out: Annotated[
        Path | None, option(RESULT, "Empty folder to fill; a new runs/demo-N by default.")
    ] = None
    json: JsonOption = False
    count: Annotated[int, Setting("How many pictures to learn from.", min=10)] = 800
    seed: Annotated[int, Setting("Another seed, other pictures.", min=0)] = 0


def demo(options: DemoOptions) -> int:
    """Draw pictures, train a thin yolov4-tiny on them, evaluate it and predict; offline.

    The exit code says whether it ran, not how good the model became; that is printed.
    """
    from ..io.folders import new_run_folder

    with stage_bars() as progress:
        from ..demo import demo as run  # takes seconds, as torch does

        done = run(
            options.out or new_run_folder(RUN_FOLDER),
            seed=options.seed,
            minutes=options.minutes,
            images=options.count,
            progress=progress,
        )
    if options.json:
        record = {name: _plain(value) for name, value in vars(done).items()}
        typer.echo(json.dumps(record))
    else:
        for line in describe(done):
            typer.echo(printable(line))
    return WORKED


@contextmanager
def stage_bars() -> Iterator["Progress"]:
    """A bar a stage, on a terminal; elsewhere a line when a stage begins."""
    from rich.progress import BarColumn, TimeElapsedColumn

    bars = progress_bar(
        "{task.description:<32}",
        BarColumn(),
        "{task.percentage:>3.0f}%",
        TimeElapsedColumn(),
        "{task.fields[note]}",
    )
    tasks = {}

    def show(stage: str, done: int, total: int, note: str) -> None:
        if stage not in tasks:  # a bar that is full stays, the next comes below it
            tasks[stage] = bars.add_task(STAGES[stage], note="")
            if bars.disable:
                typer.echo(f"{STAGES[stage]} …", err=True)
        bars.update(tasks[stage], completed=done, total=total, note=note)

    with bars:
        yield show


def describe(done: "Demo") -> Iterator[str]:
    """How good it became, where everything is, and what to do with it next."""
    ap50, ap = (done.stats[name] or 0.0 for name in ("AP50", "AP"))
    seconds = ", ".join(f"{stage} {value:.0f}" for stage, value in done.seconds.items())
    yield f"AP50 {ap50:.3f}, AP {ap:.3f} on pictures that training never saw."
    if ap50 <= GOOD_AP50:
        yield (
            f"That is below {GOOD_AP50:g}: give it more time (--minutes) or more pictures"
            " (--set count=1600)."
        )
    yield f"Seconds: {seconds}."
    yield ""
    yield f"In {done.folder}:"
    for path, what in (
        (done.data, "the drawn data set"),
        (done.sheet, "some of it, with its labels"),
        (done.run / "report.html", "how the training went; metrics and weights are beside it"),
        (done.report, "how good the model is, its best and its worst pictures"),
        (done.pictures, "what it finds"),
    ):
        yield f"  {path.relative_to(done.folder).as_posix():<26}{what}"
    yield ""
    yield "Next:"
    for line in next_commands(done):
        yield f"  {line}"


def next_commands(done: "Demo") -> list[str]:
    """Commands that work on what the demonstration left."""
    data, model = quote(str(done.data)), quote(str(done.model))
    images = quote(str(done.data.parent / "images" / "test"))
    return [
        f"scantling predict {images} --model {model} --save images,jsonl",
        f"scantling evaluate {model} --data {data} --split test",
        f"scantling data check {data}",
        f"scantling train {quote(str(done.start))} --data {data} --epochs 30",
    ]


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value
