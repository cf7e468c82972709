"""What `scantling benchmark` prints: two tables, what a reader must know, and what failed."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..errors import printable

if TYPE_CHECKING:
    from ..benchmarking import Benchmark

WORDS = ("model", "engine", "versions")
WIDTH = 160  # of a table that goes into a file or a pipe


def print_benchmark(benchmark: "Benchmark", page: Path | None) -> None:
    """Print everything that a terminal can show, and where the rest is."""
    from ..benchmarking import (
        cost_table,
        describe_machine_line,
        latency_table,
        notes_of,
        problems_of,
        speed_table,
    )
    from ..benchmarking.report import HOW_IT_STARTS, HOW_TO_READ

    console = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
    typer.echo(printable(describe_machine_line(benchmark.machine)))
    typer.echo(printable(f"Measured with {benchmark.images}."))
    if benchmark.data:
        typer.echo(printable(f"AP on {benchmark.data}"))
    if benchmark.base is not None:
        console.print(_table(*latency_table(benchmark)))
        console.print(_table(*speed_table(benchmark)))
        typer.echo(HOW_TO_READ)
        console.print(_table(*cost_table(benchmark)))
        typer.echo(f"Stages in median milliseconds an image. {HOW_IT_STARTS}")
    for line in (*notes_of(benchmark), *problems_of(benchmark)):
        typer.echo(f"scantling: {printable(line)}", err=True)
    if page is not None:
        typer.echo(f"Saved in {printable(str(page.parent))}; {page.name} shows it all.")


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Words to the left, figures to the right."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column in WORDS else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table
