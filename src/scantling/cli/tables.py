"""Tables as wide as the terminal: what is wider goes on below, with its first columns again."""

import shutil
from collections.abc import Iterator, Sequence

import typer

from ..errors import printable

WIDTH = 120  # of what goes into a file or a pipe, unless COLUMNS says another
GAP = 2  # blanks between columns


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    keys: int = 1,
    left: Sequence[str] = (),
    last_apart: bool = False,
) -> None:
    """Print a table, in parts where it is wider than the terminal.

    Args:
        columns: their names.
        rows: of text.
        keys: columns that say which row it is, and begin every part; to the left.
        left: names of other columns to the left; the rest are to the right.
        last_apart: put a line above the last row.
    """
    cells = [list(columns), *[[printable(cell) for cell in row] for row in rows]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    width = shutil.get_terminal_size((WIDTH, 24)).columns
    for part in _parts(widths, keys, width):
        ruled = "─" * (sum(widths[place] for place in part) + GAP * (len(part) - 1))
        typer.echo()
        for number, row in enumerate(cells):
            if number == 1 or (last_apart and number == len(cells) - 1 > 1):
                typer.echo(ruled)
            shown = (
                row[place].ljust(widths[place])
                if place < keys or columns[place] in left
                else row[place].rjust(widths[place])
                for place in part
            )
            typer.echo((" " * GAP).join(shown).rstrip())
    typer.echo()


def _parts(widths: Sequence[int], keys: int, width: int) -> Iterator[list[int]]:
    """The columns of each part: the keys, and as many others as there is room for, at least one."""
    first = list(range(keys))
    start = sum(widths[:keys]) + GAP * (keys - 1)
    part, taken = [*first], start
    for place in range(keys, len(widths)):
        needed = GAP + widths[place]
        if len(part) > keys and taken + needed > width:
            yield part
            part, taken = [*first], start
        part.append(place)
        taken += needed
    yield part
