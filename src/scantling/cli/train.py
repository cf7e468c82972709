"""scantling train MODEL --data DATA — learn to find the objects of labelled images."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..errors import InvalidValue
from .data.options import DATA_HELP, FormatOption
from .exit_codes import INTERRUPTED, TERMINATED, WORKED
from .options import JsonOption
from .values import parse_image_size

if TYPE_CHECKING:
    from ..training import Run

MODEL_HELP = "A name from `scantling list`, or a .cfg, .safetensors, .pt or .pth file."
WITH_RESUME = ("resume", "cache", "track", "json")  # options that --resume leaves room for


@dataclass(frozen=True)
class TrainOptions:
    """What `scantling train` can be told."""

    model: Annotated[str | None, typer.Argument(help=MODEL_HELP)] = None
    data: Annotated[str, typer.Option(help=DATA_HELP)] = ""
    recipe: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE.toml", help="Settings; the model's own by default."),
    ] = None
    set: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="One setting, as optimizer.momentum=0.9."),
    ] = None
    weights: Annotated[
        str | None,
        typer.Option(metavar="FILE|official", help="To start from; fresh ones by default."),
    ] = None
    epochs: Annotated[int | None, typer.Option(help="How often every image is seen.")] = None
    batch: Annotated[int | None, typer.Option(help="Images that are seen at once.")] = None
    image_size: Annotated[
        str | None,
        typer.Option(
            metavar="N|HxW", help="Input size, which the model keeps; its own if left out."
        ),
    ] = None
    seed: Annotated[int | None, typer.Option(help="Of every random choice.")] = None
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"] | None,
        typer.Option(help="Number format; the fastest of the device by default."),
    ] = None
    workers: Annotated[
        int | None, typer.Option(help="Processes that make batches; 0 for a thread.")
    ] = None
    freeze: Annotated[
        str | None,
        typer.Option(metavar="PART,…", help="Parts of the network that stay as they are."),
    ] = None
    split: Annotated[str | None, typer.Option(help="To learn from; train by default.")] = None
    val_split: Annotated[
        str | None, typer.Option(help="To evaluate on; what is meant for it by default.")
    ] = None
    format: FormatOption = None
    max_data_errors: Annotated[
        int, typer.Option(min=0, help="Errors in the data that are accepted.")
    ] = 0
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto"
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; a new runs/train-N by default.")
    ] = None
    resume: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Go on with a run that was stopped.")
    ] = None
    track: Annotated[
        str | None, typer.Option(metavar="NAME,…", help="tensorboard, wandb, mlflow.")
    ] = None
    json: JsonOption = False
    cache: Annotated[
        Path | None,
        typer.Option(envvar="SCANTLING_CACHE", help="Folder for downloads and small images."),
    ] = None


def train(options: TrainOptions) -> int:
    """Train a model on labelled images. Ctrl-C saves and stops; --resume goes on to the bit."""
    check_options(options)
    run = open_asked(options)
    if run.trainer.accelerator.is_main_process:
        return follow(run, as_json=options.json)
    with stop_signals() as stop:
        for _ in run.events(stop=stop):  # another process shows them
            pass
    return stop.code or WORKED


def check_options(options: TrainOptions) -> None:
    """Refuse options that contradict one another.

    Raises:
        InvalidValue: what is to be trained on what is not said, or said beside --resume.
    """
    if options.resume is None:
        if options.model is None:
            raise InvalidValue("MODEL", None, "what to train, or --resume FOLDER")
        if not options.data:
            raise InvalidValue("--data", "", "the data set to learn from")
        return
    for one in fields(TrainOptions):
        given = getattr(options, one.name)
        if one.name not in WITH_RESUME and given not in (one.default, []):
            name = "MODEL" if one.name == "model" else f"--{one.name.replace('_', '-')}"
            raise InvalidValue(name, given, "nothing of it beside --resume: the run has its own")


def open_asked(options: TrainOptions) -> "Run":
    """The run that was asked for, new or resumed."""
    from ..training import open_run, resume_run

    trackers = split_names(options.track)
    if options.resume is not None:
        return resume_run(options.resume, cache=options.cache, trackers=trackers)
    return open_run(
        options.model or "",
        options.data,
        recipe=options.recipe,
        settings=settings_of(options),
        weights=options.weights,
        split=options.split,
        validation_split=options.val_split,
        format=options.format,
        max_data_errors=options.max_data_errors,
        device=options.device,
        out=options.out,
        cache=options.cache,
        trackers=trackers,
    )


def settings_of(options: TrainOptions) -> dict[str, Any]:
    """What `--set` and its short forms say, as nested tables; the short forms win."""
    from ..training.resolve import parse_settings

    settings = parse_settings(options.set or [])
    short = {
        "epochs": options.epochs,
        "batch": options.batch,
        "image_size": parse_image_size(options.image_size),
        "seed": options.seed,
        "precision": options.precision,
        "freeze": split_names(options.freeze) or None,
    }
    settings |= {name: value for name, value in short.items() if value is not None}
    image_size = settings.get("image_size")
    if isinstance(image_size, int | str):  # --set image_size=416, or 384x640
        settings["image_size"] = parse_image_size(str(image_size), option="image_size")
    if options.workers is not None:
        loader = settings.get("loader")
        own = loader if isinstance(loader, dict) else {}
        settings["loader"] = {**own, "workers": options.workers}
    return settings


def split_names(text: str | None) -> tuple[str, ...]:
    """`a, b` → ("a", "b"); None → ()."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def follow(run: "Run", *, as_json: bool) -> int:
    """Go through a run and show it; stop and save when told to by a signal."""
    from .training_text import Show

    with stop_signals() as stop, Show(run, as_json=as_json) as show:
        for event in run.events(stop=stop):
            show.add(event)
    complete = run.state.done >= show.updates
    show.finish(complete=complete)
    return WORKED if complete else stop.code or WORKED


@dataclass
class Stop:
    """Whether a signal asked for an end, to be called as a question.

    Args:
        code: what to exit with, once one came.
    """

    code: int = 0
    before: dict[int, Any] = field(default_factory=dict)

    def __call__(self) -> bool:
        return bool(self.code)

    def handle(self, number: int, _: object) -> None:
        """The first signal is noted; with the second, what was set before holds again."""
        self.code = INTERRUPTED if number == signal.SIGINT else TERMINATED
        # written past all buffers: a signal may come in the middle of a print
        os.write(2, b"\nscantling: ends after this update; once more to end at once\n")
        self.put_back()

    def put_back(self) -> None:
        """Let the handlers that were there before hold again."""
        for number, handler in self.before.items():
            signal.signal(number, handler)


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Turn the first Ctrl-C or SIGTERM into a request; the second ends the program at once."""
    stop = Stop()
    if threading.current_thread() is threading.main_thread():  # no other may set a handler
        for number in (signal.SIGINT, signal.SIGTERM):
            stop.before[number] = signal.signal(number, stop.handle)
    try:
        yield stop
    finally:
        stop.put_back()
