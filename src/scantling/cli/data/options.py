"""Options that several commands about data share, and the bar they show."""

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

DATA_HELP = (
    "A COCO folder or JSON, a YOLO data.yaml, a darknet .data, or a Pascal VOC folder;"
    " which of them is found out."
)
DataArgument = Annotated[str, typer.Argument(help=DATA_HELP)]
FormatOption = Annotated[
    str | None,
    typer.Option("--format", help="coco, yolo, darknet or voc, where it cannot be found out."),
]


def bar() -> Progress:
    """A progress bar on standard error, on a terminal only."""
    return Progress(console=Console(stderr=True), disable=not sys.stderr.isatty())
