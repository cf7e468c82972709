"""scantling data convert SOURCE OUT --to FORMAT — labelled images from one format to another."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import printable
from ..command import Setting, option
from ..options import INPUT, RESULT, DataArgument, FormatSetting, JsonOption
from ..output import WORKED, progress_bar

if TYPE_CHECKING:
    from ...datasets.conversion import Conversion
    from ...datasets.dataset import Dataset


@dataclass(frozen=True)
class DataConvertOptions:
    """The options of `scantling data convert`."""

    source: DataArgument
    out: Annotated[Path, typer.Argument(help="Folder to write; must not be there, or be empty.")]
    to: Annotated[str, option(RESULT, "{datasets.writers:WRITERS}.", metavar="FORMAT")]
    json: JsonOption = False
    split: Annotated[
        list[str] | None, option(INPUT, "A split to convert; may be repeated. All by default.")
    ] = None
    format: FormatSetting = None
    image_files: Annotated[
        str,
        Setting(
            "link: hard links, or copies where that cannot be; copy; symlink: links to the files of"
            " the source."
        ),
    ] = "link"


def convert(options: DataConvertOptions) -> int:
    """Write a data set in another format, and say what that format cannot hold."""
    from ...datasets.conversion import convert_dataset
    from ...datasets.readers import describe_dataset

    with progress_bar() as progress:
        task = progress.add_task("convert", total=None)

        def start(datasets: Mapping[str, "Dataset"]) -> None:
            progress.update(task, total=sum(map(len, datasets.values())))
            for dataset in datasets.values():
                typer.echo(printable(describe_dataset(dataset), keep="\n"), err=True)

        done = convert_dataset(
            options.source,
            options.out,
            to=options.to,
            splits=options.split or (),
            format=options.format,
            images=options.image_files,
            start=start,
            advance=lambda: progress.advance(task),
        )
    if options.json:
        typer.echo(json.dumps(asdict(done) | {"folder": str(done.folder)}))
    else:
        _print(done)
    return WORKED


def _print(done: "Conversion") -> None:
    heads = ("split", "images", "objects", "classes", "crowd", "difficult")
    typer.echo(f"{heads[0]:<12}" + "".join(f"{head:>11}" for head in heads[1:]))
    for one in done.splits:
        counts = (one.images, one.objects, one.classes, one.crowd, one.difficult)
        typer.echo(f"{printable(one.split):<12}" + "".join(f"{count:>11,}" for count in counts))
    if done.dropped:
        typer.echo(f"Not in the new data set ({done.format} → {done.to}):")
        for loss in done.dropped:
            typer.echo(f"  {printable(str(loss))}")
    else:
        typer.echo("Nothing was dropped.")
    typer.echo(f"Written to {printable(str(done.folder))}")
