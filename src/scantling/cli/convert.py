"""scantling convert SOURCE TARGET — the same model in another format."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from ..errors import printable
from .command import option
from .options import MODEL, CacheFolder, JsonOption, NamesOption, OverwriteOption, WeightsOption
from .output import WORKED, download_bar


@dataclass(frozen=True)
class ConvertOptions:
    """The options of `scantling convert`."""

    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A .cfg, .weights, .safetensors, .pt, .pth or .npz file, or a name from"
            " `scantling list`.",
        ),
    ]
    target: Annotated[
        Path,
        typer.Argument(
            metavar="TARGET",
            help="A .safetensors file; a .cfg or .weights, for darknet's .cfg, .weights and .names;"
            " or a .pth, for effdet.",
        ),
    ]
    model: Annotated[
        str | None,
        option(MODEL, "The model that a .weights, .pt, .pth or .npz is of: a name, or a .cfg."),
    ] = None
    weights: WeightsOption = None
    names: NamesOption = None
    overwrite: OverwriteOption = False
    json: JsonOption = False
    cache: CacheFolder = None


def convert(options: ConvertOptions) -> int:
    """Write a model in another format: native .safetensors, darknet's, or effdet's .pth."""
    from ..checkpoints import convert_model

    with download_bar() as progress:
        written = convert_model(
            options.source,
            options.target,
            model=options.model,
            weights=options.weights,
            names=options.names,
            overwrite=options.overwrite,
            cache=options.cache,
            progress=progress,
        )
    paths = [str(path) for path in written]
    typer.echo(json.dumps({"written": paths}) if options.json else "\n".join(map(printable, paths)))
    return WORKED
