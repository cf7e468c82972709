"""scantling evaluate MODEL --data DATA — how good a model is on labelled images."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InvalidValue
from .data.options import DATA_HELP, FormatOption
from .exit_codes import WORKED
from .options import (
    MODEL_HELP,
    AgnosticOption,
    BatchOption,
    CacheOption,
    DeviceOption,
    EngineOption,
    FitOption,
    ImageSizeOption,
    JsonOption,
    MergeOption,
    NamesOption,
    NmsOption,
    NoClipOption,
    NoWholeOption,
    OverlapOption,
    PrecisionOption,
    SingleLabelOption,
    SliceOption,
    StreamsOption,
    ThreadsOption,
    TtaOption,
    WeightsOption,
)
from .predict import PredictOptions, load_predictor

if TYPE_CHECKING:
    from ..evaluation import Evaluation, Protocol
    from ..inference import Predictor

RUN_FOLDER = Path("runs/evaluate")
# What says how a model is run; beside a file of detections it has no meaning.
MODEL_ONLY = (
    *("weights", "names", "image_size", "fit", "device", "precision"),
    *("threads", "streams"),
    *("map", "known_classes_only", "batch", "rect", "workers"),
    *("tta", "slice", "overlap", "no_whole", "merge"),
    *("iou", "nms", "agnostic", "single_label", "max_detections", "no_clip"),
)


@dataclass(frozen=True)
class EvaluateOptions:
    """What `scantling evaluate` can be told."""

    model: Annotated[str | None, typer.Argument(help=MODEL_HELP)] = None
    data: Annotated[
        str,
        typer.Option(help=DATA_HELP),
    ] = ""
    split: Annotated[
        str | None, typer.Option(help="Part of the data; the one for evaluation by default.")
    ] = None
    format: FormatOption = None
    detections: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="COCO results JSON to judge, in place of a model."),
    ] = None
    protocol: Annotated[str, typer.Option(help="Whose AP: coco, voc07, voc12 or darknet.")] = "coco"
    points: Annotated[
        int | None,
        typer.Option(help="Recall points of voc12 and darknet; 0 is the area under the curve."),
    ] = None
    map: Annotated[
        list[str] | None,
        typer.Option(metavar="DATA=MODEL", help="A class that the model calls otherwise."),
    ] = None
    known_classes_only: Annotated[
        bool,
        typer.Option("--known-classes-only", help="Leave out what the model does not know."),
    ] = False
    max_data_errors: Annotated[
        int, typer.Option(min=0, help="Errors in the data that are accepted.")
    ] = 0
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many images.")] = None
    weights: WeightsOption = None
    names: NamesOption = None
    image_size: ImageSizeOption = None
    fit: FitOption = None
    min_score: Annotated[
        float | None, typer.Option(help="Keep what scores more; 0.001, of darknet 0.005.")
    ] = None
    iou: Annotated[
        float | None, typer.Option(help="Overlap from which two are one; 0.6 of coco, else 0.45.")
    ] = None
    nms: NmsOption = "greedy"
    merge: MergeOption = "nms"
    tta: TtaOption = False
    slice: SliceOption = None
    overlap: OverlapOption = 0.2
    no_whole: NoWholeOption = False
    agnostic: AgnosticOption = False
    single_label: SingleLabelOption = False
    max_detections: Annotated[
        int | None, typer.Option(help="At most so many an image; 300 for coco, else 5000.")
    ] = None
    no_clip: NoClipOption = False
    engine: EngineOption = "auto"
    device: DeviceOption = "auto"
    precision: PrecisionOption = None
    threads: ThreadsOption = None
    streams: StreamsOption = "auto"
    batch: BatchOption = 1
    rect: Annotated[
        bool, typer.Option("--rect", help="Less padding: faster, not the same to the last digit.")
    ] = False
    workers: Annotated[
        int, typer.Option(min=0, help="Processes that read images; 0 for threads.")
    ] = 0
    out: Annotated[
        Path | None,
        typer.Option(help="Where to save; a new runs/evaluate-N by default, with --json nowhere."),
    ] = None
    save_detections: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write COCO's results JSON here as well.")
    ] = None
    json: JsonOption = False
    cache: CacheOption = None


def evaluate(options: EvaluateOptions) -> int:
    """Measure how good a model, or a file of detections, is on labelled images."""
    from ..evaluation import save_report, summarise, write_results
    from ..io import new_run_folder
    from .evaluation_text import print_evaluation

    check_options(options)
    evaluation = judge_file(options) if options.detections else run_model(options)
    folder = options.out
    if folder is None and not options.json:
        folder = new_run_folder(RUN_FOLDER)
    page = None if folder is None else save_report(evaluation, folder)
    if options.save_detections is not None:
        write_results(options.save_detections, evaluation.detections, evaluation.metrics.truth)
    if options.json:
        saved = None if page is None else str(page)
        typer.echo(json.dumps({**summarise(evaluation), "report": saved}))
    else:
        print_evaluation(evaluation, page)
    return WORKED


def check_options(options: EvaluateOptions) -> None:
    """Refuse options that contradict one another, before anything is read.

    Raises:
        InvalidValue: neither a model nor detections are named, or both; an option of a model beside
            detections.
    """
    from ..evaluation import choose_protocol

    choose_protocol(options.protocol, points=options.points)
    if not options.data:
        raise InvalidValue("--data", "", "the data set to evaluate on")
    if options.detections is None:
        if options.model is None:
            raise InvalidValue("MODEL", None, "a model, or --detections FILE in place of one")
        return
    if options.model is not None:
        raise InvalidValue("MODEL", options.model, "nothing beside --detections")
    for name in MODEL_ONLY:
        given, default = getattr(options, name), getattr(EvaluateOptions, name)
        if given not in (default, []):
            option = f"--{name.replace('_', '-')}"
            raise InvalidValue(option, given, "no option of a model beside --detections")


def judge_file(options: EvaluateOptions) -> "Evaluation":
    """The evaluation of a file of detections."""
    from ..evaluation import choose_protocol, evaluate_results

    return evaluate_results(
        options.detections or "",
        options.data,
        split=options.split,
        format=options.format,
        protocol=choose_protocol(options.protocol, points=options.points),
        min_score=options.min_score,
        limit=options.limit,
        max_data_errors=options.max_data_errors,
    )


def run_model(options: EvaluateOptions) -> "Evaluation":
    """The evaluation of a model, run on the images."""
    from ..datasets.readers import describe_dataset
    from ..evaluation import choose_protocol, open_data
    from ..evaluation import evaluate as run
    from .evaluation_text import image_bar
    from .messages import note

    protocol = choose_protocol(options.protocol, points=options.points)
    renamed = parse_renamed(options.map or [])
    # read first: a mistake in it should not cost a download
    dataset = open_data(
        options.data,
        split=options.split,
        format=options.format,
        max_data_errors=options.max_data_errors,
    )
    note(f"{options.data}: {describe_dataset(dataset)}")
    predictor = load_evaluated(options, protocol)
    with image_bar() as progress:
        evaluation = run(
            predictor,
            dataset,
            protocol=protocol,
            rename_classes=renamed,
            known_classes_only=options.known_classes_only,
            limit=options.limit,
            max_data_errors=options.max_data_errors,
            batch_size=options.batch,
            rectangular=options.rect,
            workers=options.workers,
            progress=progress,
        )
    how = {
        "model": options.model or "",
        "engine": predictor.engine.description,
        "device": options.device,
        "precision": predictor.engine.precision,
    }
    return replace(evaluation, model=how | dict(evaluation.model))


def load_evaluated(options: EvaluateOptions, protocol: "Protocol") -> "Predictor":
    """The model, ready to find objects as the options say, else as the protocol does."""
    from ..evaluation import selection_for

    usual = selection_for(protocol)
    shared = {field.name for field in fields(PredictOptions)} & {
        field.name for field in fields(EvaluateOptions)
    }
    chosen = {name: getattr(options, name) for name in shared}
    for name, value in (
        ("min_score", usual.min_score),
        ("iou", usual.iou_threshold),
        ("max_detections", usual.max_detections),
    ):
        if chosen[name] is None:
            chosen[name] = value
    return load_predictor(PredictOptions(sources=[], **chosen), many=True)


def parse_renamed(pairs: Sequence[str]) -> dict[str, str]:
    """`["sofa=couch"]` → {"sofa": "couch"}: what a class of the data is called in the model.

    Raises:
        InvalidValue: one of another form, or a class of the data twice.
    """
    renamed: dict[str, str] = {}
    for pair in pairs:
        ours, sign, theirs = pair.partition("=")
        if not sign or not ours.strip() or not theirs.strip() or ours.strip() in renamed:
            raise InvalidValue("--map", pair, "DATA=MODEL, once for each class of the data")
        renamed[ours.strip()] = theirs.strip()
    return renamed
