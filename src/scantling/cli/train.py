"""scantling train MODEL --data DATA — learn to find the objects of labelled images."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..errors import InvalidValue
from .command import Setting, option, parse_image_size
from .options import (
    DATA_HELP,
    INPUT,
    MODEL,
    MODEL_HELP,
    RESULT,
    SIZE,
    SPEED,
    CacheFolder,
    FormatSetting,
    JsonOption,
    MaxDataErrorsOption,
)
from .output import WORKED

if TYPE_CHECKING:
    from ..training import Run

TRAINING = "Training"  # a panel of the help
WITH_RESUME = ("resume", "cache", "track", "json", "trust")  # options that --resume leaves room for


@dataclass(frozen=True)
class TrainOptions:
    """The options of `scantling train`."""

    model: Annotated[str | None, typer.Argument(metavar="MODEL", help=MODEL_HELP)] = None
    data: Annotated[str, option(INPUT, DATA_HELP)] = ""
    split: Annotated[
        str | None, option(INPUT, "Split to train on; train by default.", rare=True)
    ] = None
    validation_split: Annotated[
        str | None, option(INPUT, "Split to evaluate on; val, else test by default.", rare=True)
    ] = None
    max_data_errors: MaxDataErrorsOption = 0
    weights: Annotated[
        str | None,
        option(MODEL, "Weights to start from; fresh ones by default.", metavar="FILE|official"),
    ] = None
    image_size: Annotated[
        str | None,
        option(
            MODEL, "Size of the input, which the model keeps; its own by default.", metavar=SIZE
        ),
    ] = None
    recipe: Annotated[
        str | None,
        option(TRAINING, "Recipe; the model's own by default.", metavar="NAME|FILE.toml"),
    ] = None
    set: Annotated[
        list[str] | None,
        option(
            TRAINING,
            "A setting of the recipe, as optimizer.momentum=0.9; may be repeated.",
            metavar="NAME=VALUE",
        ),
    ] = None
    epochs: Annotated[
        int | None, option(TRAINING, "How often every image is seen; the recipe's by default.")
    ] = None
    batch_size: Annotated[
        int | None, option(TRAINING, "Images that are seen at once; the recipe's by default.")
    ] = None
    out: Annotated[
        Path | None, option(RESULT, "Folder of the run; a new runs/train-N by default.")
    ] = None
    resume: Annotated[
        Path | None, option(RESULT, "Go on with a run that was stopped.", metavar="FOLDER")
    ] = None
    track: Annotated[
        str | None,
        option(RESULT, "tensorboard, wandb, mlflow; none by default.", metavar="NAME,…", rare=True),
    ] = None
    json: JsonOption = False
    device: Annotated[str, option(SPEED, "auto, cpu or cuda.")] = "auto"
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"] | None,
        option(SPEED, "Number format; the fastest of the device by default.", rare=True),
    ] = None
    format: FormatSetting = None
    trust: Annotated[
        bool, Setting("Beside --resume: run the Python files that the run's settings name.")
    ] = False
    cache: CacheFolder = None


def train(options: TrainOptions) -> int:
    """Train a model on labelled images. Ctrl-C saves and stops; --resume goes on to the bit."""
    from ..training import stop_signals

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
            expected = "nothing of it beside --resume: the run has its own"
            raise InvalidValue(one.name, given, expected)


def open_asked(options: TrainOptions) -> "Run":
    """The run that was asked for, new or resumed."""
    from ..training import open_run, resume_run

    trackers = split_names(options.track)
    if options.resume is not None:
        return resume_run(
            options.resume, cache=options.cache, trackers=trackers, trust=options.trust
        )
    return open_run(
        options.model or "",
        options.data,
        recipe=options.recipe,
        settings=settings_of(options),
        weights=options.weights,
        split=options.split,
        validation_split=options.validation_split,
        format=options.format,
        max_data_errors=options.max_data_errors,
        device=options.device,
        out=options.out,
        cache=options.cache,
        trackers=trackers,
    )


def settings_of(options: TrainOptions) -> dict[str, Any]:
    """What `--set` and its short forms say, as nested tables; the short forms win."""
    settings = recipe_settings(options.set or [])
    short = {
        "epochs": options.epochs,
        "batch": options.batch_size,
        "image_size": parse_image_size(options.image_size),
        "precision": options.precision,
    }
    return settings | {name: value for name, value in short.items() if value is not None}


def recipe_settings(words: Sequence[str]) -> dict[str, Any]:
    """Settings of a recipe, as words of `--set`, as nested tables."""
    from ..training.resolve import parse_settings

    settings = parse_settings(words)
    image_size = settings.get("image_size")
    if isinstance(image_size, int | str):  # --set image_size=416, or 384x640
        settings["image_size"] = parse_image_size(str(image_size), option="--set image_size")
    if isinstance(settings.get("freeze"), str):  # --set freeze=backbone,neck
        settings["freeze"] = split_names(settings["freeze"])
    return settings


def split_names(text: str | None) -> tuple[str, ...]:
    """`a, b` → ("a", "b"); None → ()."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def follow(run: "Run", *, as_json: bool) -> int:
    """Go through a run and show it; stop and save when told to by a signal."""
    from ..training import stop_signals
    from .training_text import TrainingPrinter

    with stop_signals() as stop, TrainingPrinter(run, as_json=as_json) as printer:
        for event in run.events(stop=stop):
            printer.add(event)
    complete = run.state.done >= printer.updates
    printer.finish(complete=complete)
    return WORKED if complete else stop.code or WORKED
