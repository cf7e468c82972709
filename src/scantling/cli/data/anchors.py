"""scantling data anchors DATA — anchors that fit the boxes of a data set."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ...errors import InvalidData, InvalidValue, printable
from ..command import Setting, option, parse_image_size
from ..options import INPUT, MODEL, RESULT, DataArgument, FormatSetting, ImageSizeOption, JsonOption
from ..output import WORKED

if TYPE_CHECKING:
    from ...datasets.anchors import Anchors
    from ...datasets.dataset import Dataset
    from ...structures import FloatArray

THRESHOLDS = {"ratio": 4.0, "iou": 0.25}


@dataclass(frozen=True)
class AnchorsOptions:
    """The options of `scantling data anchors`."""

    data: DataArgument
    split: Annotated[str | None, option(INPUT, "Split of the data; train by default.")] = None
    model: Annotated[
        str | None,
        option(MODEL, "A name from `scantling list` or a .cfg, whose anchors are judged."),
    ] = None
    count: Annotated[int | None, option(MODEL, "How many anchors, in place of a model.", min=1)] = (
        None
    )
    image_size: ImageSizeOption = None
    out: Annotated[
        Path | None, option(RESULT, "PNG of box sizes and anchors to write.", metavar="FILE")
    ] = None
    json: JsonOption = False
    format: FormatSetting = None
    fitness: Annotated[
        Literal["ratio", "iou"],
        Setting("Measure of the fit: ratio, the worst of two sides, or iou, the overlap."),
    ] = "ratio"
    threshold: Annotated[
        float | None, Setting("Greatest ratio (4) or least overlap (0.25) that counts as fitting.")
    ] = None
    generations: Annotated[int, Setting("Of the genetic search; 0 for k-means alone.", min=0)] = (
        1000
    )
    seed: Annotated[int, Setting("Of the search.", min=0)] = 0


def anchors(options: AnchorsOptions) -> int:
    """Fit anchors to the boxes of a data set, and say how well a model's own fit them."""
    import numpy as np

    from ...datasets.anchors import box_sizes, fit_anchors, judge_anchors
    from ...datasets.readers import describe_dataset

    check_options(options)
    threshold = THRESHOLDS[options.fitness] if options.threshold is None else options.threshold
    rule: dict[str, Any] = {"fitness": options.fitness, "threshold": threshold}
    dataset = read_split(options)
    typer.echo(f"scantling: {printable(describe_dataset(dataset))}", err=True)
    own_sizes, image_size = find_own(options, dataset)
    boxes = box_sizes(dataset, image_size)
    if not len(boxes):
        raise InvalidData(options.data, "no image has a box to fit", "Name another --split")
    own = None if own_sizes is None else judge_anchors(boxes, own_sizes, **rule)
    fitted = fit_anchors(
        boxes,
        options.count or len(own_sizes if own_sizes is not None else ()),
        rng=np.random.default_rng(options.seed),
        generations=options.generations,
        **rule,
    )
    if options.out is not None:
        draw(options, boxes, own, fitted)
    if options.json:
        typer.echo(json.dumps(to_record(options, image_size, len(boxes), own, fitted)))
        return WORKED
    height, width = image_size
    typer.echo(f"{len(boxes):,} boxes on an input of {height}x{width}")
    if own is not None:
        typer.echo(describe(f"{printable(options.model or '')}'s own", own))
    typer.echo(describe("fitted", fitted))
    typer.echo(f"anchors = {as_cfg(fitted)}")
    if options.out is not None:
        typer.echo(f"Saved in {printable(str(options.out))}")
    return WORKED


def check_options(options: AnchorsOptions) -> None:
    """Refuse what does not say how many anchors, or on which input.

    Raises:
        InvalidValue: neither or both of a model and a count, or a count without an input size.
    """
    if (options.model is None) == (options.count is None):
        raise InvalidValue("--count", options.count, "a number of anchors, or --model in its place")
    if options.count is not None and options.image_size is None:
        raise InvalidValue("--image-size", None, "the input of the network, beside --count")
    if options.threshold is not None and not 0 < options.threshold < 1e6:
        raise InvalidValue("threshold", options.threshold, "a number above 0")


def read_split(options: AnchorsOptions) -> "Dataset":
    """The split that anchors are fitted to."""
    from ...datasets.readers import list_splits, read_dataset

    known = list_splits(options.data, format=options.format)
    usual = "train" if "train" in known else None
    return read_dataset(options.data, split=options.split or usual, format=options.format)


def find_own(
    options: AnchorsOptions, dataset: "Dataset"
) -> "tuple[FloatArray | None, tuple[int, int]]":
    """The different anchors of the model, (A, 2) width and height, if one is named; the input."""
    import numpy as np

    from ...specs import find_spec

    image_size = parse_image_size(options.image_size)
    if options.model is None:
        return None, image_size or (0, 0)
    if options.model.lower().endswith(".cfg"):
        from ...checkpoints import anchors_of, prepare_model

        model = prepare_model(options.model, dataset.names)
        groups, usual = anchors_of(model), model.spec.image_size
    else:
        spec = find_spec(options.model)
        groups, usual = spec.head.anchors, spec.image_size
    different = sorted({anchor for group in groups for anchor in group})
    return np.array(different, np.float32).reshape(-1, 2), image_size or usual


def draw(
    options: AnchorsOptions, boxes: "FloatArray", own: "Anchors | None", fitted: "Anchors"
) -> None:
    """Write the picture."""
    from ...datasets.anchors_figure import draw_anchors
    from ...io import write_file
    from ...reports import plain_text

    if options.out is not None:
        title = plain_text(f"Boxes of {Path(options.data).name} and anchors")
        write_file(options.out, draw_anchors(boxes, own, fitted, title=title))


def describe(what: str, found: "Anchors") -> str:
    """Anchors in one line, with how they fit."""
    return (
        f"{what}: best possible recall {found.recall:.2%}, fitness {found.fitness:.4f}:"
        f" {as_cfg(found)}"
    )


def as_cfg(found: "Anchors") -> str:
    """Anchors as a cfg has them: `10,14, 23,27`."""
    return ", ".join(f"{width:.0f},{height:.0f}" for width, height in found.sizes.tolist())


def to_record(
    options: AnchorsOptions,
    image_size: tuple[int, int],
    boxes: int,
    own: "Anchors | None",
    fitted: "Anchors",
) -> dict[str, Any]:
    """The same as plain values."""

    def plain(found: "Anchors") -> dict[str, Any]:
        sizes = [[round(side, 1) for side in pair] for pair in found.sizes.tolist()]
        return {"sizes": sizes, "recall": found.recall, "fitness": found.fitness}

    return {
        "image_size": list(image_size),
        "boxes": boxes,
        "own": own and plain(own),
        "fitted": plain(fitted),
        "written": options.out and str(options.out),
    }
