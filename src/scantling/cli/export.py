"""scantling export MODEL --to FORMAT — the model as a file that another runtime runs."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..engines.formats import FORMATS
from ..errors import ExportDiffers, InvalidValue, printable
from .command import Setting, option, parse_class_scores, parse_classes, parse_image_size
from .options import (
    DATA_HELP,
    INPUT,
    MODEL_HELP,
    NAMES_HELP,
    RESULT,
    SPEED,
    CacheFolder,
    ClassScoresSetting,
    ImageSizeOption,
    JsonOption,
    WeightsOption,
)
from .output import CHECK_FAILED, WORKED, image_bar, note

if TYPE_CHECKING:
    from ..exporting import Exported
    from ..specs.metadata import GraphForm

LARGEST_BATCH = 1024
FIGURES = 4  # of a stage of the verification that are printed


@dataclass(frozen=True)
class ExportOptions:
    """The options of `scantling export`."""

    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP)]
    to: Annotated[str, option(RESULT, f"{', '.join(FORMATS)}.", metavar="FORMAT")] = ""
    out: Annotated[
        Path | None,
        option(RESULT, "File to write; the model's name, here, by default.", metavar="FILE"),
    ] = None
    takes: Annotated[
        Literal["uint8", "float", "image"],
        option(RESULT, "Input: uint8 or float canvases, or an image of any size, resized inside."),
    ] = "uint8"
    gives: Annotated[
        Literal["candidates", "raw", "detections"],
        option(
            RESULT, "Output: boxes and scores, the network's own output, or detections after NMS."
        ),
    ] = "candidates"
    json: JsonOption = False
    weights: WeightsOption = None
    image_size: ImageSizeOption = None
    data: Annotated[
        str | None,
        option(INPUT, f"To calibrate int8 on and compare the AP of int8 or bf16. {DATA_HELP}"),
    ] = None
    max_ap_drop: Annotated[
        float | None,
        option(
            INPUT,
            "The most AP it may cost by --data; layers stay as they are until it holds. By default"
            " 0.01 of int8, 0.003 of bf16.",
        ),
    ] = None
    precision: Annotated[
        Literal["fp32", "fp16", "bf16", "int8"],
        option(SPEED, "Number format to compute in; int8 needs --data."),
    ] = "fp32"
    batch_size: Annotated[
        str, option(SPEED, "Images that the graph takes at once.", metavar="N|dynamic")
    ] = "1"
    any_size: Annotated[bool, Setting("Take every image size that the model's strides divide.")] = (
        False
    )
    min_score: Annotated[
        float, Setting("Threshold of detections; of other outputs what the file recommends.")
    ] = 0.25
    iou_threshold: Annotated[float, Setting("Of NMS, as min_score.")] = 0.45
    max_detections: Annotated[int, Setting("The most an image keeps, as min_score.", min=1)] = 300
    classes: Annotated[
        str | None, Setting("Only these classes, by name or label, as min_score: person,car.")
    ] = None
    class_scores: ClassScoresSetting = None
    split: Annotated[
        str | None, Setting("Split of the data; for int8 train by default, if there is one.")
    ] = None
    calibration_images: Annotated[
        int, Setting("At most so many images of the data are used.", min=1)
    ] = 300
    names: Annotated[Path | None, Setting(NAMES_HELP)] = None
    check: Annotated[bool, Setting("Compare the file with the model before it is kept.")] = True
    cache: CacheFolder = None


def export(options: ExportOptions) -> int:
    """Write a model as one file for ONNX Runtime, OpenVINO or TensorRT."""
    form = parse_form(options)
    check_options(options)
    try:
        with image_bar("looking at images") as progress:
            exported = run_export(options, form, progress)
    except ExportDiffers as error:
        note(str(error))
        return CHECK_FAILED
    if options.json:
        typer.echo(json.dumps(describe_export(exported)))
    else:
        print_export(exported)
    return WORKED


def parse_form(options: ExportOptions) -> "GraphForm":
    """What the graph is to take and give.

    Raises:
        InvalidValue: options that contradict one another, or a batch that is none.
    """
    from pydantic import ValidationError

    from ..specs.metadata import GraphForm

    batch: int | None = None
    if options.batch_size != "dynamic":
        batch = int(options.batch_size[:9]) if options.batch_size.isdecimal() else 0
        if not 1 <= batch <= LARGEST_BATCH:
            expected = f"a number from 1 to {LARGEST_BATCH}, or dynamic"
            raise InvalidValue("--batch-size", options.batch_size, expected)
    if options.takes == "image" and (batch != 1 or options.any_size):
        raise InvalidValue(
            "--takes",
            "image",
            "uint8 or float beside --batch-size or --set any_size: whole images are taken one at a"
            " time, and resized to the one size of the network",
        )
    try:
        return GraphForm(
            takes=options.takes, gives=options.gives, batch=batch, any_size=options.any_size
        )
    except ValidationError as error:
        raise InvalidValue("the form of the graph", options.takes, str(error)) from error


def check_options(options: ExportOptions) -> None:
    """Refuse options that have no effect together, before anything is loaded.

    Raises:
        InvalidValue: no format; or an option of --data without it.
    """
    if not options.to:
        raise InvalidValue("--to", "", " or ".join(FORMATS))
    if options.precision == "int8" or (options.precision == "bf16" and options.data is not None):
        return
    for name in ("data", "split", "calibration_images", "max_ap_drop"):
        given = getattr(options, name)
        if given != getattr(ExportOptions, name):
            expected = "--precision int8, or bf16 and --data, beside it: no other looks at images"
            raise InvalidValue(name, given, expected)


def run_export(
    options: ExportOptions, form: "GraphForm", progress: Callable[[int, int], None]
) -> "Exported":
    """The export that the options ask for."""
    from ..exporting import export as run

    return run(
        options.model,
        options.to,
        out=options.out,
        precision=options.precision,
        form=form,
        image_size=parse_image_size(options.image_size),
        weights=options.weights,
        names=options.names,
        data=options.data,
        split=options.split,
        calibration_images=options.calibration_images,
        max_ap_drop=options.max_ap_drop,
        min_score=options.min_score,
        iou_threshold=options.iou_threshold,
        max_detections=options.max_detections,
        classes=parse_classes(options.classes),
        class_scores=parse_class_scores(options.class_scores),
        check=options.check,
        cache=options.cache,
        progress=progress,
    )


def describe_export(exported: "Exported") -> dict[str, Any]:
    """What was written, as plain values for JSON."""
    metadata = exported.metadata
    calibration = metadata.calibration
    return {
        "files": [str(path) for path in exported.files],
        "bytes": sum(path.stat().st_size for path in exported.files),
        "precision": metadata.precision,
        "image_size": list(metadata.image_size),
        "form": metadata.form.model_dump(),
        "fingerprint": metadata.fingerprint,
        "calibration": None if calibration is None else calibration.model_dump(mode="json"),
        "ap_lost": None if exported.ap_lost is None else asdict(exported.ap_lost),
        "speedup": exported.speedup,
        "verification": None if exported.verification is None else exported.verification.to_dict(),
    }


def print_export(exported: "Exported") -> None:
    """Say what was written, what it takes and gives, how near it is, and what to do with it."""
    for path in exported.files:
        typer.echo(f"{printable(str(path))}  {path.stat().st_size / 1e6:.1f} MB")
    metadata = exported.metadata
    typer.echo(f"takes    {describe_input(exported)}")
    typer.echo(f"gives    {metadata.form.gives}, {len(metadata.names)} classes")
    if metadata.calibration is not None:
        kept = len(metadata.calibration.fp32_layers)
        lost = "AP not compared" if exported.ap_lost is None else str(exported.ap_lost)
        typer.echo(
            f"{metadata.precision:<8} by {metadata.calibration.images} images of "
            f"{printable(metadata.calibration.data)}, {kept} layers left as they are, "
            f"{lost}, "
            f"{exported.speedup or 0:.2f} times as fast as fp32 here"
        )
    if exported.verification is None:
        typer.echo("not verified: check=false, or no engine here runs it")
    else:
        for stage in exported.verification.stages:
            figures = [one for one in stage.figures if one.limit is not None] or stage.figures
            shown = ", ".join(
                f"{one.name} {one.shown}{f' ({one.shown_limit})' if one.limit is not None else ''}"
                for one in figures[:FIGURES]
            )
            typer.echo(f"verified {stage.name}: {printable(shown)}")
    typer.echo(f"next     scantling predict photo.jpg --model {printable(str(exported.path))}")


def describe_input(exported: "Exported") -> str:
    """What the graph takes, for people."""
    metadata = exported.metadata
    form = metadata.form
    height, width = metadata.image_size
    if form.takes == "image":
        return f"one uint8 RGB image of any size (1, H, W, 3), resized to {height}x{width} inside"
    batch = "any number of" if form.batch is None else str(form.batch)
    size = f"{height}x{width}" if not form.any_size else f"any multiple of {metadata.size_divisor}"
    kind = "uint8 RGB (N, H, W, 3)" if form.takes == "uint8" else "float RGB 0 to 1 (N, 3, H, W)"
    return f"images: {batch} {kind}, {size}, {metadata.input_spec.resize_mode}"
