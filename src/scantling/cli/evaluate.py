"""scantling evaluate MODEL --data DATA — how good a model is on labelled images."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..engines.hardware import MOST_IMAGES
from ..errors import InvalidValue
from .command import Setting, option, parse_class_scores, parse_classes
from .options import (
    DATA_HELP,
    INPUT,
    MOST_WORKERS,
    NAMES_HELP,
    PRECISION_HELP,
    RESULT,
    RUNNABLE_HELP,
    ClassScoresSetting,
    DeviceOption,
    EngineOption,
    FormatSetting,
    ImageSizeOption,
    InferenceSettings,
    JsonOption,
    LimitOption,
    MaxDataErrorsOption,
    WeightsOption,
)
from .output import WORKED
from .predict import choose_selection, load_predictor

if TYPE_CHECKING:
    from ..evaluation import Evaluation

RUN_FOLDER = Path("runs/evaluate")
# What says how a model is run; beside a file of detections it has no meaning.
MODEL_ONLY = (
    *("weights", "names", "image_size", "resize_mode", "device", "precision"),
    *("threads", "streams", "batch_size", "rectangular", "workers"),
    *("rename_classes", "known_classes_only"),
    *("tta", "tile", "overlap", "whole_image", "merge"),
    *("iou_threshold", "nms", "sigma", "beta", "class_aware", "multi_label"),
    *("max_detections", "max_candidates", "clip"),
)


@dataclass(frozen=True)
class EvaluateOptions(InferenceSettings):
    """The options of `scantling evaluate`."""

    model: Annotated[str | None, typer.Argument(metavar="MODEL", help=RUNNABLE_HELP)] = None
    data: Annotated[str, option(INPUT, DATA_HELP)] = ""
    split: Annotated[
        str | None, option(INPUT, "Split of the data; the one for evaluation by default.")
    ] = None
    limit: LimitOption = None
    rename_classes: Annotated[
        list[str] | None,
        option(
            INPUT,
            "A class of the data that the model calls otherwise; may be repeated.",
            metavar="DATA=MODEL",
        ),
    ] = None
    classes: Annotated[
        str | None,
        option(INPUT, "Count only these classes, by name or label.", metavar="NAME,…", rare=True),
    ] = None
    max_data_errors: MaxDataErrorsOption = 0
    detections: Annotated[
        Path | None,
        option(INPUT, "COCO results JSON to evaluate, in place of a model.", metavar="FILE"),
    ] = None
    weights: WeightsOption = None
    image_size: ImageSizeOption = None
    protocol: Annotated[str, option(RESULT, "Whose AP: {evaluation.protocols:PROTOCOLS}.")] = "coco"
    out: Annotated[
        Path | None,
        option(RESULT, "Folder to save in; a new runs/evaluate-N by default, with --json none."),
    ] = None
    json: JsonOption = False
    device: DeviceOption = "auto"
    engine: EngineOption = "auto"
    precision: Annotated[
        Literal["fp32", "bf16", "fp16", "auto"] | None, Setting(PRECISION_HELP)
    ] = None
    batch_size: Annotated[
        int, Setting("Images that the network sees at once.", min=1, max=MOST_IMAGES)
    ] = 1
    format: FormatSetting = None
    names: Annotated[Path | None, Setting(NAMES_HELP)] = None
    known_classes_only: Annotated[
        bool, Setting("Leave out objects of classes that the model does not know.")
    ] = False
    points: Annotated[
        int | None,
        Setting("Recall points of voc12 and darknet; 0, the default, is the area under the curve."),
    ] = None
    min_score: Annotated[
        float | None, Setting("Keep objects that score more; 0.001, of darknet 0.005.")
    ] = None
    class_scores: ClassScoresSetting = None
    iou_threshold: Annotated[
        float | None, Setting("Overlap from which two boxes are one; 0.6 of coco, else 0.45.")
    ] = None
    max_detections: Annotated[
        int | None, Setting("The most an image keeps; 300 of coco, else 5000.")
    ] = None
    tta: Annotated[
        bool, Setting("Test-time augmentation: show the network three views of each image.")
    ] = False
    tile: Annotated[
        str | None, Setting("Show the network tiles of this size too, N or HxW, for small objects.")
    ] = None
    rectangular: Annotated[
        bool, Setting("Less padding: faster, not the same to the last digit.")
    ] = False
    workers: Annotated[
        int, Setting("Processes that read images; 0 for threads.", min=0, max=MOST_WORKERS)
    ] = 0


def evaluate(options: EvaluateOptions) -> int:
    """Measure how good a model, or a file of detections, is on labelled images."""
    from ..evaluation import save_report, summarise
    from ..io.folders import new_run_folder
    from .evaluation_text import print_evaluation

    check_options(options)
    evaluation = judge_file(options) if options.detections else run_model(options)
    folder = options.out
    if folder is None and not options.json:
        folder = new_run_folder(RUN_FOLDER)
    page = None if folder is None else save_report(evaluation, folder)
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
            raise InvalidValue(name, given, "no option of a model beside --detections")


def judge_file(options: EvaluateOptions) -> "Evaluation":
    """The evaluation of a file of detections."""
    from ..evaluation import choose_protocol, evaluate_results

    return evaluate_results(
        options.detections or "",
        options.data,
        split=options.split,
        format=options.format,
        protocol=choose_protocol(options.protocol, points=options.points),
        classes=parse_classes(options.classes),
        min_score=options.min_score,
        class_scores=parse_class_scores(options.class_scores),
        limit=options.limit,
        max_data_errors=options.max_data_errors,
    )


def run_model(options: EvaluateOptions) -> "Evaluation":
    """The evaluation of a model, run on the images."""
    from ..datasets.readers import describe_dataset
    from ..evaluation import (
        choose_protocol,
        evaluate as run,
        find_labels,
        open_data,
        protocol_settings,
    )
    from .output import image_bar, note

    protocol = choose_protocol(options.protocol, points=options.points)
    renamed = parse_renamed(options.rename_classes or [])
    # read first: a mistake in it should not cost a download
    dataset = open_data(
        options.data,
        split=options.split,
        format=options.format,
        max_data_errors=options.max_data_errors,
    )
    note(f"{options.data}: {describe_dataset(dataset)}")
    classes = parse_classes(options.classes)
    if classes is not None:
        find_labels(dataset, classes)
    chosen = {name: one for name, one in choose_selection(options).items() if name != "classes"}
    selection = protocol_settings(protocol) | chosen
    predictor = load_predictor(options, selection, many=True)
    with image_bar("evaluate") as progress:
        evaluation = run(
            predictor,
            dataset,
            protocol=protocol,
            classes=classes,
            rename_classes=renamed,
            known_classes_only=options.known_classes_only,
            limit=options.limit,
            max_data_errors=options.max_data_errors,
            batch_size=options.batch_size,
            rectangular=options.rectangular,
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


def parse_renamed(pairs: Sequence[str]) -> dict[str, str]:
    """`["sofa=couch"]` → {"sofa": "couch"}: what a class of the data is called in the model.

    Raises:
        InvalidValue: one of another form, or a class of the data twice.
    """
    renamed: dict[str, str] = {}
    for pair in pairs:
        ours, sign, theirs = pair.partition("=")
        if not sign or not ours.strip() or not theirs.strip() or ours.strip() in renamed:
            raise InvalidValue(
                "--rename-classes", pair, "DATA=MODEL, once for each class of the data"
            )
        renamed[ours.strip()] = theirs.strip()
    return renamed
