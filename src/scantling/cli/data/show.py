"""scantling data show DATA — a contact sheet of labelled images."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import InvalidSettings, printable
from ..command import Setting, find_marks, option
from ..options import INPUT, RESULT, DataArgument, FormatSetting, JsonOption
from ..output import WORKED, note

if TYPE_CHECKING:
    from ...datasets.dataset import Dataset
    from ...structures import Image


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
    count: Annotated[int, option(INPUT, "How many images.", min=1, max=10_000)] = 16
    augment: Annotated[
        list[str] | None,
        option(
            RESULT,
            "Show images as training alters them: a model or recipe to be trained (yolov4-tiny,"
            " x.cfg, small, run.toml), {augment:AUGMENTATIONS}, or one step such as scaled-mosaic,"
            " cutmix, grid-mask; may be repeated.",
        ),
    ] = None
    out: Annotated[
        Path, option(RESULT, "Picture to write; its suffix says the kind.", metavar="FILE")
    ] = Path("sheet.png")
    json: JsonOption = False
    set: Annotated[
        list[str] | None,
        option(
            RESULT,
            "One of the settings below; beside a model or recipe also one of train's, such as"
            " augment.settings.mosaic=0; may be repeated.",
            metavar="NAME=VALUE",
            rare=True,
        ),
    ] = None
    format: FormatSetting = None
    seed: Annotated[int, Setting("Another seed, other images.", min=0)] = 0
    columns: Annotated[int | None, Setting("Images in a row.", min=1, max=1000)] = None
    cell: Annotated[
        int, Setting("Side of each image on the sheet, in pixels.", min=32, max=4096)
    ] = 320


def show(options: DataShowOptions) -> int:
    """Draw images with their labels on one sheet, drawn at random."""
    import numpy as np

    from ...datasets.contact_sheets import choose_augmentation, dataset_sheet
    from ...datasets.readers import describe_dataset, read_dataset
    from ...io import write_file
    from ...reports.drawing import encode_image

    dataset = read_dataset(options.data, split=options.split, format=options.format)
    typer.echo(printable(describe_dataset(dataset), keep="\n"), err=True)
    sheet = draw_as_trained(options, dataset)
    if sheet is None:
        sheet = dataset_sheet(
            dataset,
            count=options.count,
            rng=np.random.default_rng(options.seed),
            names=options.classes or (),
            augment=choose_augmentation(options.augment, dataset) if options.augment else None,
            columns=options.columns,
            cell=options.cell,
        )
    write_file(options.out, encode_image(sheet, options.out.suffix))
    height, width = sheet.shape[:2]
    if options.json:
        typer.echo(json.dumps({"written": str(options.out), "width": width, "height": height}))
    else:
        typer.echo(f"Saved {width}×{height} pixels in {printable(str(options.out))}")
    return WORKED


def draw_as_trained(options: DataShowOptions, dataset: "Dataset") -> "Image | None":
    """The sheet as a model or recipe that `--augment` names would be trained; None without one.

    Raises:
        InvalidSettings: settings of a recipe without a model or recipe.
    """
    from ...augment import AUGMENTATIONS, MIXERS, TRANSFORMS

    words = options.set or []
    if not words and set(options.augment or []) <= {*AUGMENTATIONS, *MIXERS, *TRANSFORMS}:
        return None  # which needs no torch
    from ...training.preview import draw_preview, split_words
    from ..train import recipe_settings
    from ..training_text import describe_settings

    model, recipe, _ = split_words(options.augment or [])
    if model is None and recipe is None:
        if words:
            known = ", ".join(find_marks(DataShowOptions, Setting))
            raise InvalidSettings(
                [
                    f"{word}: there is no such setting here (known: {known}); of a recipe it is"
                    " beside a model or recipe, as --augment yolov4-tiny"
                    for word in words
                ]
            )
        return None
    preview = draw_preview(
        dataset,
        model=model,
        recipe=recipe,
        settings=recipe_settings(words),
        names=options.classes or (),
        count=options.count,
        seed=options.seed,
        columns=options.columns,
        cell=options.cell,
    )
    height, width = preview.image_size
    note(f"as {preview.model} would be trained, at {height}x{width}")
    for line in describe_settings(preview.settings):
        note(line)
    return preview.sheet
