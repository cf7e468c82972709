"""scantling predict SOURCE… — find objects in images, videos and streams."""

import glob
import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..errors import InvalidSource, InvalidValue, lookup
from .command import (
    Setting,
    option,
    parse_class_scores,
    parse_classes,
    parse_image_size,
    parse_streams,
    spell,
)
from .options import (
    MODEL,
    PRECISION_HELP,
    RESULT,
    SIZE,
    SPEED,
    BatchSizeOption,
    ClassScoresSetting,
    DeviceOption,
    EngineOption,
    ImageSizeOption,
    InferenceSettings,
    JsonOption,
    ModelOption,
    NamesOption,
    WeightsOption,
)
from .output import PredictionPrinter, download_bar

if TYPE_CHECKING:
    from ..images import InferencePlan
    from ..inference import Predictor
    from ..postprocess import Selection
    from .evaluate import EvaluateOptions

DEFAULT_OUTPUTS = "images,video"
PICTURES = {"images", "crops"}  # outputs for which a still image is needed as it is


@dataclass(frozen=True)
class PredictOptions(InferenceSettings):
    """The options of `scantling predict`."""

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
    min_score: Annotated[
        float | None,
        option(RESULT, "Keep objects that score more; 0.25, or an exported file's own."),
    ] = None
    classes: Annotated[
        str | None,
        option(RESULT, "Keep only these classes, by name or label.", metavar="NAME,…", rare=True),
    ] = None
    iou_threshold: Annotated[
        float | None,
        option(RESULT, "Overlap from which two boxes are one; 0.45, or an exported file's own."),
    ] = None
    save: Annotated[
        str | None,
        option(
            RESULT,
            "{inference.outputs:WRITERS}, or none; several with commas. By default"
            f" {DEFAULT_OUTPUTS}; none with --json.",
            metavar="KIND,…",
        ),
    ] = None
    out: Annotated[
        Path | None, option(RESULT, "Folder to save in; a new runs/predict-N by default.")
    ] = None
    json: JsonOption = False
    tile: Annotated[
        str | None,
        option(MODEL, "Show the network tiles of this size too, for small objects.", metavar=SIZE),
    ] = None
    tta: Annotated[
        bool,
        option(
            MODEL,
            "Test-time augmentation: show the network three views of each image.",
            "--tta",
            rare=True,
        ),
    ] = False
    fast_decode: Annotated[
        bool,
        option(
            SPEED,
            "Decode large JPEGs as reduced copies where no picture is saved: faster; boxes and"
            " scores change a little.",
            "--fast-decode",
            rare=True,
        ),
    ] = False
    device: DeviceOption = "auto"
    engine: EngineOption = "auto"
    precision: Annotated[
        Literal["fp32", "bf16", "fp16", "auto"] | None, option(SPEED, PRECISION_HELP)
    ] = None
    batch_size: BatchSizeOption = 1
    class_scores: ClassScoresSetting = None
    max_detections: Annotated[
        int | None, Setting("The most an image keeps; 300, or an exported file's own.")
    ] = None


def predict(options: PredictOptions) -> int:
    """Find objects in images, videos and streams."""
    from ..inference import predict as run
    from ..inference.outputs import Outputs

    kinds = parse_kinds(options)  # before the model: a mistake should not cost a download
    if not options.json:  # which tells of each what is wrong
        check_sources(options.sources)
    predictor = load_predictor(
        options,
        choose_selection(options),
        many=has_many(options.sources),
        convert=not is_one_image(options.sources),
        fast_decode=options.fast_decode,
    )
    with (
        predictor,
        Outputs(kinds, options.out) as outputs,
        PredictionPrinter(options.sources, as_json=options.json) as report,
        closing(
            run(
                predictor,
                options.sources,
                batch_size=options.batch_size,
                keep_images=not PICTURES.isdisjoint(kinds),
            )
        ) as predictions,
    ):
        for prediction in predictions:
            outputs.write(prediction.frame, prediction.detections)
            report.add(prediction)
    return report.finish(outputs.folder)


def load_predictor(
    options: "PredictOptions | EvaluateOptions",
    selection: "Selection | Mapping[str, Any]",
    *,
    many: bool,
    convert: bool = True,
    fast_decode: bool = False,
) -> "Predictor":
    """The model, ready to find objects as the options say.

    Args:
        options: of the command.
        selection: which candidates become detections, or what differs from the usual.
        many: whether it is for many images, none of which anybody waits for.
        convert: whether it may be converted for another runtime first.
        fast_decode: as of `Predictor`.
    """
    from ..engines import EngineSettings
    from ..inference.loading import open_predictor

    settings = EngineSettings(
        engine=options.engine,
        device=options.device,
        precision=options.precision,
        threads=options.threads,
        streams=parse_streams(options.streams, many=many),
        image_size=parse_image_size(options.image_size),
        convert=convert,
        cache=options.cache,
    )
    plan = choose_plan(options)
    with download_bar() as progress:
        return open_predictor(
            options.model or "",
            settings,
            weights=options.weights,
            names=options.names,
            resize_mode=options.resize_mode,
            selection=selection,
            plan=plan,
            clip=options.clip,
            fast_decode=fast_decode,
            progress=progress,
        )


def choose_selection(options: "PredictOptions | EvaluateOptions") -> dict[str, Any]:
    """Fields of `Selection` that the options set; the rest is as the model or protocol has it."""
    from ..postprocess import Selection

    asked = {field.name: getattr(options, field.name, None) for field in fields(Selection)}
    asked["classes"] = parse_classes(options.classes)
    asked["class_scores"] = parse_class_scores(options.class_scores)
    return {name: value for name, value in asked.items() if value is not None}


def check_sources(sources: Sequence[str]) -> None:
    """Refuse paths of which none is there, before a model is loaded for them.

    Raises:
        InvalidSource: the first, and what is wrong with it.
    """
    from ..images.paths import SCHEME, locate_path

    if any(one == "-" or one.isdecimal() or SCHEME.match(one) for one in sources):
        return
    if not any(os.path.lexists(one) or glob.has_magic(one) for one in sources):
        for problem in locate_path(sources[0]):
            raise InvalidSource(problem.name, str(problem.value))


def has_many(sources: Sequence[str]) -> bool:
    """Whether sources are several images at least, and not what comes as it happens."""
    if len(sources) > 1:
        return True
    return any(Path(source).is_dir() or "*" in source for source in sources)


def is_one_image(sources: Sequence[str]) -> bool:
    """Whether there is but one image, by its name: no folder, pattern, list, video or camera."""
    from ..images.paths import kind_by_suffix

    return len(sources) == 1 and not has_many(sources) and kind_by_suffix(sources[0]) == "image"


def choose_plan(options: "PredictOptions | EvaluateOptions") -> "InferencePlan":
    """The views of each image that the options ask for.

    Raises:
        InvalidValue: a size or share that cannot be, or neither tiles nor the whole image.
    """
    from ..images import TTA, InferencePlan

    if options.tile is None and not options.whole_image:
        tile = spell(type(options), "tile")
        raise InvalidValue("whole_image", False, f"{tile} beside it: else there is nothing to see")
    return InferencePlan(
        views=TTA.views if options.tta else InferencePlan().views,
        tile=parse_image_size(options.tile, option="tile"),
        overlap=options.overlap,
        whole_image=options.whole_image,
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
