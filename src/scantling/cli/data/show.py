"""scantling data show DATA — a contact sheet of labelled images."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from ...errors import printable
from ..command import Setting, option
from ..options import INPUT, RESULT, DataArgument, FormatSetting, JsonOption
from ..output import WORKED


@dataclass(frozen=True)
class DataShowOptions:
    """The options of `scantling data show`."""

    data: DataArgument
    classes: Annotated[
        list[str] | None, option(INPUT, "Only images that show this class; may be repeated.")
    ] = None
    split: Annotated[
        str | None, option(INPUT, "Split of the data; the one for evaluation by default.")
    ] = None
    count: Annotated[int, option(INPUT, "How many images.", min=1)] = 16
    augment: Annotated[
        list[str] | None,
        option(
            RESULT,
            "Show images as training alters them: {augment:AUGMENTATIONS}, or one step such as"
            " scaled-mosaic, cutmix, grid-mask; may be repeated.",
        ),
    ] = None
    out: Annotated[
        Path, option(RESULT, "Picture to write; its suffix says the kind.", metavar="FILE")
    ] = Path("sheet.png")
    json: JsonOption = False
    format: FormatSetting = None
    seed: Annotated[int, Setting("Another seed, other images.", min=0)] = 0
    columns: Annotated[int | None, Setting("Images in a row.", min=1)] = None
    cell: Annotated[int, Setting("Side of each image on the sheet, in pixels.", min=32)] = 320


def show(options: DataShowOptions) -> int:
    """Draw images with their labels on one sheet, drawn at random."""
    import numpy as np

    from ...datasets.contact_sheets import choose_augmentation, dataset_sheet
    from ...datasets.readers import describe_dataset, read_dataset
    from ...reports.drawing import encode_image

    dataset = read_dataset(options.data, split=options.split, format=options.format)
    typer.echo(printable(describe_dataset(dataset), keep="\n"), err=True)
    sheet = dataset_sheet(
        dataset,
        count=options.count,
        rng=np.random.default_rng(options.seed),
        names=options.classes or (),
        augment=choose_augmentation(options.augment, dataset) if options.augment else None,
        columns=options.columns,
        cell=options.cell,
    )
    options.out.write_bytes(encode_image(sheet, options.out.suffix))
    height, width = sheet.shape[:2]
    if options.json:
        typer.echo(json.dumps({"written": str(options.out), "width": width, "height": height}))
    else:
        typer.echo(f"Saved {width}×{height} pixels in {printable(str(options.out))}")
    return WORKED
