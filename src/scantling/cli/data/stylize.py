"""scantling data stylize SOURCE OUT --styles IMAGES — the same labels, another look."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import printable
from ..command import Setting, option
from ..options import INPUT, DataArgument, FormatSetting, JsonOption
from ..output import WORKED, progress_bar

if TYPE_CHECKING:
    from ...datasets.dataset import Dataset
    from ...datasets.stylized import StylizedSet


@dataclass(frozen=True)
class StylizeOptions:
    """The options of `scantling data stylize`."""

    source: DataArgument
    out: Annotated[Path, typer.Argument(help="Folder to write; must not be there, or be empty.")]
    styles: Annotated[Path, option(INPUT, "An image, or a folder of images, to look like.")]
    split: Annotated[
        list[str] | None,
        option(
            INPUT,
            "A split to change; may be repeated. By default train, or all where there is none. The"
            " others are written as they are.",
        ),
    ] = None
    json: JsonOption = False
    format: FormatSetting = None
    share: Annotated[float, Setting("Share of the images that are changed, 0 to 1.")] = 0.5
    strength: Annotated[float, Setting("How far they are changed, 0 to 1.")] = 0.7
    seed: Annotated[int, Setting("Another seed, other images and styles.", min=0)] = 0


def stylize(options: StylizeOptions) -> int:
    """Write a data set anew, some images with the colours and texture of style images."""
    from ...datasets.readers import describe_dataset
    from ...datasets.stylized import stylize_dataset

    with progress_bar() as progress:
        task = progress.add_task("stylize", total=None)

        def start(datasets: Mapping[str, "Dataset"], steps: int) -> None:
            progress.update(task, total=steps)
            for dataset in datasets.values():
                typer.echo(printable(describe_dataset(dataset), keep="\n"), err=True)

        done = stylize_dataset(
            options.source,
            options.out,
            styles=options.styles,
            share=options.share,
            strength=options.strength,
            seed=options.seed,
            splits=options.split or (),
            format=options.format,
            start=start,
            advance=lambda: progress.advance(task),
        )
    if options.json:
        typer.echo(json.dumps(asdict(done) | {"folder": str(done.folder)}))
    else:
        _print(done)
    return WORKED


def _print(done: "StylizedSet") -> None:
    for split, count in done.images.items():
        changed = done.stylized[split]
        typer.echo(printable(f"{split}: {changed:,} of {count:,} images changed"))
    if done.dropped:
        typer.echo(f"Not in the new data set ({done.format}):")
        for loss in done.dropped:
            typer.echo(f"  {printable(str(loss))}")
    what = "1 style image" if done.styles == 1 else f"{done.styles:,} style images"
    typer.echo(f"Written to {printable(str(done.folder))}, from {what}")
