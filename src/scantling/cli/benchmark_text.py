"""What `scantling benchmark` prints: two tables, what a reader must know, and what failed."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ..errors import printable
from .tables import print_table

if TYPE_CHECKING:
    from ..benchmarking import Benchmark

WHO = 3  # columns that say which contender: row, model, engine


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

    typer.echo(printable(describe_machine_line(benchmark.machine)))
    typer.echo(printable(f"Measured with {benchmark.images}."))
    if benchmark.data:
        typer.echo(printable(f"AP on {benchmark.data}"))
    if benchmark.base is not None:
        print_table(*latency_table(benchmark), keys=WHO)
        print_table(*speed_table(benchmark), keys=WHO)
        typer.echo(HOW_TO_READ)
        print_table(*cost_table(benchmark), keys=WHO, left=["versions"])
        typer.echo(f"Stages in median milliseconds an image. {HOW_IT_STARTS}")
    for line in (*notes_of(benchmark), *problems_of(benchmark)):
        typer.echo(f"scantling: {printable(line)}", err=True)
    if page is not None:
        typer.echo(f"Saved in {printable(str(page.parent))}; {page.name} shows it all.")
