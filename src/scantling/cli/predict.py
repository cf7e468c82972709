"""scantling predict SOURCE… — find objects in images, videos and streams."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InvalidValue, lookup
from .options import (
    AgnosticOption,
    BatchOption,
    CacheOption,
    DeviceOption,
    FitOption,
    ImageSizeOption,
    JsonOption,
    MergeOption,
    ModelOption,
    NamesOption,
    NmsOption,
    NoClipOption,
    NoWholeOption,
    OverlapOption,
    PrecisionOption,
    SingleLabelOption,
    SliceOption,
    TtaOption,
    WeightsOption,
)
from .values import parse_image_size

if TYPE_CHECKING:
    from ..data import Plan
    from ..predict import Predictor

DEFAULT_OUTPUTS = "images,video"


@dataclass(frozen=True)
class PredictOptions:
    """What `scantling predict` can be told."""

    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE…",
            help="Image, folder, glob, video, http(s) image, camera index, RTSP address, .txt list"
            " of images, or - for paths on standard input.",
        ),
    ]
    model: ModelOption = "yolov4-tiny"
    weights: WeightsOption = None
    names: NamesOption = None
    image_size: ImageSizeOption = None
    fit: FitOption = None
    min_score: Annotated[float, typer.Option(help="Keep what scores more than this.")] = 0.25
    iou: Annotated[float, typer.Option(help="Overlap from which two are one object.")] = 0.45
    nms: NmsOption = "greedy"
    merge: MergeOption = "nms"
    tta: TtaOption = False
    slice: SliceOption = None
    overlap: OverlapOption = 0.2
    no_whole: NoWholeOption = False
    agnostic: AgnosticOption = False
    single_label: SingleLabelOption = False
    max_detections: Annotated[int, typer.Option(help="At most so many an image.")] = 300
    no_clip: NoClipOption = False
    device: DeviceOption = "auto"
    precision: PrecisionOption = "fp32"
    batch: BatchOption = 1
    save: Annotated[
        str | None,
        typer.Option(
            metavar="KIND,…",
            help="images, video, jsonl, csv, txt, voc, coco, crops; or none."
            " By default images,video; with --json none.",
        ),
    ] = None
    out: Annotated[
        Path | None, typer.Option(help="Where to save; a new runs/predict-N by default.")
    ] = None
    json: JsonOption = False
    cache: CacheOption = None


def predict(options: PredictOptions) -> int:
    """Find objects in images, videos and streams."""
    from ..outputs import Outputs
    from ..predict import predict as run
    from .report import Report

    kinds = parse_kinds(options)  # before the model: a mistake should not cost a download
    predictor = load_predictor(options)
    with (
        Outputs(kinds, options.out) as outputs,
        Report(options.sources, as_json=options.json) as report,
        closing(run(predictor, options.sources, batch_size=options.batch)) as predictions,
    ):
        for prediction in predictions:
            outputs.write(prediction.frame, prediction.detections)
            report.add(prediction)
    return report.finish(outputs.folder)


def load_predictor(options: PredictOptions) -> "Predictor":
    """The model, ready to find objects as the options say."""
    from ..postprocess import Selection
    from ..predict import load
    from .messages import download_bar, note

    selection = Selection(
        min_score=options.min_score,
        iou_threshold=options.iou,
        merge=options.merge,
        nms=options.nms,
        class_aware=not options.agnostic,
        multi_label=not options.single_label,
        max_detections=options.max_detections,
    )
    plan = choose_plan(
        tta=options.tta,
        tile=options.slice,
        overlap=options.overlap,
        whole=not options.no_whole,
    )
    with download_bar() as progress:
        return load(
            options.model,
            weights=options.weights,
            names=options.names,
            device=options.device,
            precision=options.precision,
            image_size=parse_image_size(options.image_size),
            fit=options.fit,
            selection=selection,
            plan=plan,
            clip=not options.no_clip,
            cache=options.cache,
            progress=progress,
            say=note,
        )


def choose_plan(*, tta: bool, tile: str | None, overlap: float, whole: bool) -> "Plan":
    """The views of each image that `--tta`, `--slice`, `--overlap` and `--no-whole` ask for.

    Raises:
        InvalidValue: a size or share that cannot be, or `--no-whole` without `--slice`.
    """
    from ..data import TTA, Plan

    if tile is None and not whole:
        raise InvalidValue("--no-whole", True, "--slice beside it: else there is nothing to see")
    return Plan(
        looks=TTA.looks if tta else Plan().looks,
        tile=parse_image_size(tile, option="--slice"),
        overlap=overlap,
        whole=whole,
    )


def parse_kinds(options: PredictOptions) -> list[str]:
    """The kinds of output that `--save` asks for.

    Raises:
        UnknownName: one that does not exist.
    """
    from ..outputs import WRITERS

    default = "none" if options.json else DEFAULT_OUTPUTS
    kinds = [kind.strip() for kind in (options.save or default).split(",")]
    if kinds == ["none"]:
        return []
    for kind in kinds:
        lookup(WRITERS, kind, "kind of output")
    return kinds
