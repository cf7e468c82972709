"""What `scantling evaluate` prints: COCO's block, a row a class, what was left out, the times."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ..errors import counted, printable
from .tables import print_table

if TYPE_CHECKING:
    from ..evaluation import Evaluation

LONGEST_NAME = 24  # letters of a class


def print_evaluation(evaluation: "Evaluation", page: Path | None) -> None:
    """Print everything that a terminal can show, and where the rest is."""
    from ..evaluation import describe_data, describe_stats, warnings_of

    typer.echo(printable(describe_data(evaluation)))
    for line in class_lines(evaluation):
        typer.echo(printable(line))
    print_classes(evaluation)
    typer.echo(describe_stats(evaluation))
    typer.echo(f"Which AP is this? {evaluation.protocol_line}.")
    typer.echo(time_line(evaluation))
    for line in warnings_of(evaluation):
        typer.echo(f"scantling: {printable(line)}", err=True)
    if page is not None:
        typer.echo(f"Saved in {printable(str(page.parent))}; {page.name} shows it all.")


def class_lines(evaluation: "Evaluation") -> list[str]:
    """Which classes of the data and the model are the same, where that is not plain."""
    classes = evaluation.classes
    if classes is None:
        return []
    pairs, left = len(classes.pairs), len(classes.unjudged)
    known = counted(pairs, "class", "classes")
    lines = [f"{known} of the data {'is' if pairs == 1 else 'are'} known to the model, by name"]
    if classes.renamed:
        spelt = ", ".join(f"{ours} = {theirs}" for ours, theirs in classes.renamed)
        lines.append(f"of these, data = model: {spelt}")
    if classes.unjudged:
        names = ", ".join(classes.unjudged)
        chosen = evaluation.metrics.protocol.classes is not None
        where = "among those that count" if chosen else "in the data"
        verb, them = ("is", "it") if left == 1 else ("are", "them")
        what = f"{verb} not {where}, and what is found of {them} is left out"
        lines.append(f"{counted(left, 'class', 'classes')} of the model {what}: {names}")
    return lines


def print_classes(evaluation: "Evaluation") -> None:
    """The figures of each class, under the names of their columns."""
    from ..evaluation import class_table

    columns, rows = class_table(evaluation.metrics)
    print_table(columns, [[_show(value) for value in row] for row in rows])


def time_line(evaluation: "Evaluation") -> str:
    """Where the time went."""
    seconds, count = evaluation.seconds, len(evaluation.dataset)
    if not seconds.images:
        return f"Evaluated in {seconds.evaluation:.2f} s."
    stages = ", ".join(
        f"{stage} {getattr(seconds, stage) * 1e3:.1f}"
        for stage in ("read", "preprocess", "network", "postprocess")
    )
    return (
        f"{count} images in {seconds.images:.1f} s, {count / seconds.images:.1f} images/s; "
        f"evaluated in {seconds.evaluation:.2f} s. Milliseconds an image, overlapping: {stages}."
    )


def _show(value: object) -> str:
    """A cell; the name of a class without what would steer a terminal, and not too long."""
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else printable(str(value))[:LONGEST_NAME]
