"""scantling benchmark MODEL… — how fast models are on this machine, beside one another."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..engines.hardware import MOST_IMAGES, PRECISIONS
from ..engines.runtimes import ENGINES
from ..errors import InvalidValue, lookup
from .command import Setting, option, parse_image_size
from .options import (
    DATA_HELP,
    ENGINE_NAMES,
    INPUT,
    MODEL,
    RESULT,
    SIZE,
    SPEED,
    ApLimitOption,
    CacheFolder,
    DeviceOption,
    JsonOption,
)
from .output import INTERRUPTED, USER_CAN_FIX, WORKED

if TYPE_CHECKING:
    from ..benchmarking import Benchmark

RUN_FOLDER = Path("runs/benchmark")
LIST_HELP = "; may be given again, or as a list with commas"


@dataclass(frozen=True)
class BenchmarkOptions:
    """The options of `scantling benchmark`."""

    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL…",
            help="Names from `scantling list`, checkpoints, exported files, .cfg files whose"
            " weights lie beside them, or MODEL=WEIGHTS.",
        ),
    ]
    image_size: Annotated[
        list[str] | None,
        option(MODEL, f"Size of the input; the model's own by default{LIST_HELP}.", metavar=SIZE),
    ] = None
    images: Annotated[
        list[Path] | None,
        option(
            INPUT,
            "Image file or folder to measure with; may be repeated. Drawn ones by default.",
            metavar="PATH",
        ),
    ] = None
    data: Annotated[str | None, option(INPUT, f"For AP beside the times. {DATA_HELP}")] = None
    limit: ApLimitOption = None
    engine: Annotated[
        list[str] | None, option(SPEED, f"{ENGINE_NAMES}, auto{LIST_HELP}. By default auto.")
    ] = None
    precision: Annotated[
        list[str] | None,
        option(
            SPEED, f"{', '.join(PRECISIONS)}, auto{LIST_HELP}. By default a file's own, else fp32."
        ),
    ] = None
    batch_size: Annotated[
        list[str] | None, option(SPEED, f"Images that the network sees at once{LIST_HELP}; 1.")
    ] = None
    device: DeviceOption = "auto"
    seconds: Annotated[float, option(RESULT, "For each row, without loading, start-up and AP.")] = (
        10.0
    )
    out: Annotated[
        Path | None,
        option(RESULT, "Folder to save in; a new runs/benchmark-N by default, with --json none."),
    ] = None
    json: JsonOption = False
    fresh_weights: Annotated[
        bool, Setting("Random weights for names and .cfg files: downloads nothing.")
    ] = False
    split: Annotated[
        str | None, Setting("Split of the data; the one for evaluation by default.")
    ] = None
    threads: Annotated[
        str | None, Setting("Processor threads, several with commas; the engine's by default.")
    ] = None
    streams: Annotated[
        str | None, Setting("Batches that the engine works on at once, several with commas; 1.")
    ] = None
    trials: Annotated[
        int | None, Setting("Trials of each, in place of as many as there is time for.", min=1)
    ] = None
    isolated: Annotated[
        bool, Setting("Measure start-up and memory too, each model in a process of its own.")
    ] = True
    cache: CacheFolder = None


def benchmark(options: BenchmarkOptions) -> int:
    """Measure how fast models are on this machine: latency, throughput, memory and start-up."""
    from ..benchmarking import save_report, summarise
    from ..io.folders import new_run_folder
    from .benchmark_text import print_benchmark

    measured = run_benchmark(options)
    folder = options.out
    if folder is None and not options.json:
        folder = new_run_folder(RUN_FOLDER)
    page = None if folder is None else save_report(measured, folder)
    if options.json:
        saved = None if page is None else str(page)
        typer.echo(json.dumps({**summarise(measured), "report": saved}))
    else:
        print_benchmark(measured, page)
    if measured.interrupted:
        return INTERRUPTED
    return WORKED if measured.base is not None else USER_CAN_FIX


def run_benchmark(options: BenchmarkOptions) -> "Benchmark":
    """Measure what the options ask for."""
    from ..benchmarking import benchmark as run, read_source
    from .output import phase_bar

    with phase_bar() as progress:
        return run(
            [read_source(model) for model in options.models],
            engines=parse_names(options.engine, ("auto", *ENGINES), "engine") or ["auto"],
            precisions=parse_names(options.precision, (*PRECISIONS, "auto"), "precision") or [None],
            image_sizes=[parse_image_size(one) for one in split_list(options.image_size)] or [None],
            batch_sizes=parse_counts(options.batch_size, "--batch-size") or [1],
            threads=parse_counts([options.threads or ""], "threads") or [None],
            streams=parse_counts([options.streams or ""], "streams") or [1],
            device=options.device,
            images=options.images or (),
            data=options.data,
            split=options.split,
            limit=options.limit,
            seconds=options.seconds,
            trials=options.trials,
            isolated=options.isolated,
            fresh_weights=options.fresh_weights,
            cache=options.cache,
            progress=progress,
        )


def split_list(given: Sequence[str] | None) -> list[str]:
    """What an option was given, once or several times, with commas or without."""
    words = [word.strip() for text in given or [] for word in text.split(",")]
    return [word for word in words if word]


def parse_names(given: Sequence[str] | None, known: Sequence[str], what: str) -> list[str]:
    """Names of a list.

    Raises:
        UnknownName: one that is not known; suggests the nearest.
    """
    table = {name: name for name in known}
    return [lookup(table, word, what) for word in split_list(given)]


def parse_counts(given: Sequence[str] | None, option: str) -> list[int]:
    """Whole numbers from 1.

    Raises:
        InvalidValue: something else.
    """
    words = split_list(given)
    for word in words:
        if not word.isdecimal() or not 0 < int(word[:9]) <= MOST_IMAGES:
            raise InvalidValue(option, word, "whole numbers from 1, such as 1 or 1,2,4")
    return [int(word) for word in words]
