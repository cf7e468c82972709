"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

MODEL_HELP = "A name from `scantling list`, or a .cfg, .safetensors, .pt or .pth file."
ModelOption = Annotated[str, typer.Option(help=MODEL_HELP)]
WeightsOption = Annotated[
    Path | None, typer.Option(help="Weights of a .cfg, or in place of a named model's own.")
]
NamesOption = Annotated[Path | None, typer.Option(help="Class names, one a line.")]
CacheOption = Annotated[
    Path | None,
    typer.Option(envvar="SCANTLING_CACHE", help="Folder for downloaded weights."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
