"""scantling predict SOURCE… — find objects in images, videos and streams."""

from collections.abc import Sequence
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
    EngineOption,
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
    StreamsOption,
    ThreadsOption,
    TtaOption,
    WeightsOption,
)
from .values import parse_image_size

if TYPE_CHECKING:
    from ..images import InferencePlan
    from ..inference import Predictor
    from ..postprocess import Selection

DEFAULT_OUTPUTS = "images,video"
MOST_STREAMS = 8  # that `auto` takes: each has a copy of the network's working memory
PICTURES = {"images", "crops"}  # outputs for which a still image is needed as it is


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
    min_score: Annotated[
        float | None, typer.Option(help="Keep what scores more; 0.25, or an exported file's own.")
    ] = None
    iou: Annotated[
        float | None,
        typer.Option(help="Overlap from which two are one; 0.45, or an exported file's own."),
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
        int | None, typer.Option(help="At most so many an image; 300, or an exported file's own.")
    ] = None
    no_clip: NoClipOption = False
    full_decode: Annotated[
        bool,
        typer.Option(
            "--full-decode",
            help="Decode all of a large JPEG, also where no picture is saved and a reduced copy"
            " would do: slower.",
        ),
    ] = False
    engine: EngineOption = "auto"
    device: DeviceOption = "auto"
    precision: PrecisionOption = None
    threads: ThreadsOption = None
    streams: StreamsOption = "auto"
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
    from ..inference import predict as run
    from ..inference.outputs import Outputs
    from .report import Report

    kinds = parse_kinds(options)  # before the model: a mistake should not cost a download
    predictor = load_predictor(options, many=has_many(options.sources))
    with (
        Outputs(kinds, options.out) as outputs,
        Report(options.sources, as_json=options.json) as report,
        closing(
            run(
                predictor,
                options.sources,
                batch_size=options.batch,
                keep_images=not PICTURES.isdisjoint(kinds),
            )
        ) as predictions,
    ):
        for prediction in predictions:
            outputs.write(prediction.frame, prediction.detections)
            report.add(prediction)
    return report.finish(outputs.folder)


def load_predictor(options: PredictOptions, *, many: bool = False) -> "Predictor":
    """The model, ready to find objects as the options say.

    Args:
        options: of the command.
        many: whether it is for many images, none of which anybody waits for.
    """
    from ..inference import load
    from .messages import download_bar

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
            engine=options.engine,
            device=options.device,
            precision=options.precision,
            threads=options.threads,
            streams=parse_streams(options.streams, many=many),
            image_size=parse_image_size(options.image_size),
            resize_mode=options.fit,
            selection=choose_selection(options),
            plan=plan,
            clip=not options.no_clip,
            fast_decode=not options.full_decode,
            cache=options.cache,
            progress=progress,
        )


def choose_selection(options: PredictOptions) -> "Selection":
    """Which candidates become detections; what is not said is an exported file's own choice."""
    from ..engines import is_exported, read_metadata
    from ..postprocess import Selection

    usual = Selection()
    if is_exported(options.model) and None in (
        options.min_score,
        options.iou,
        options.max_detections,
    ):
        from ..inference.loading import selection_of

        usual = selection_of(read_metadata(options.model), None)
    return Selection(
        min_score=usual.min_score if options.min_score is None else options.min_score,
        iou_threshold=usual.iou_threshold if options.iou is None else options.iou,
        merge=options.merge,
        nms=options.nms,
        class_aware=not options.agnostic,
        multi_label=not options.single_label,
        max_detections=(
            usual.max_detections if options.max_detections is None else options.max_detections
        ),
    )


def parse_streams(text: str, *, many: bool) -> int:
    """`N`, or `auto`: one for each core where there are many images, else one.

    Raises:
        InvalidValue: neither.
    """
    from ..engines.hardware import count_cores

    if text == "auto":
        return min(MOST_STREAMS, count_cores()) if many else 1
    if not text.isascii() or not text.isdigit() or not int(text[:9]) >= 1:
        raise InvalidValue("--streams", text, "a number from 1, or auto")
    return int(text[:9])


def has_many(sources: Sequence[str]) -> bool:
    """Whether sources are several images at least, and not what comes as it happens."""
    if len(sources) > 1:
        return True
    return any(Path(source).is_dir() or "*" in source for source in sources)


def choose_plan(*, tta: bool, tile: str | None, overlap: float, whole: bool) -> "InferencePlan":
    """The views of each image that `--tta`, `--slice`, `--overlap` and `--no-whole` ask for.

    Raises:
        InvalidValue: a size or share that cannot be, or `--no-whole` without `--slice`.
    """
    from ..images import TTA, InferencePlan

    if tile is None and not whole:
        raise InvalidValue("--no-whole", True, "--slice beside it: else there is nothing to see")
    return InferencePlan(
        views=TTA.views if tta else InferencePlan().views,
        tile=parse_image_size(tile, option="--slice"),
        overlap=overlap,
        whole_image=whole,
    )


def parse_kinds(options: PredictOptions) -> list[str]:
    """The kinds of output that `--save` asks for.

    Raises:
        UnknownName: one that does not exist.
    """
    from ..inference.outputs import WRITERS

    default = "none" if options.json else DEFAULT_OUTPUTS
    kinds = [kind.strip() for kind in (options.save or default).split(",")]
    if kinds == ["none"]:
        return []
    for kind in kinds:
        lookup(WRITERS, kind, "kind of output")
    return kinds
