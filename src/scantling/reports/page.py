"""A self-contained HTML page from blocks, and figures as PNG: no script, every text escaped.

Written by hand, not as jinja2 templates: the core would need one more package, which comes with
torch alone, and the code here is no longer than templates and what fills them would be.
"""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import InvalidValue, printable
from ..io import make_folder, make_output_folder, write_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours that stay apart for the colour-blind (Okabe and Ito), blue first.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555", "#f0e442")
DOTS_PER_INCH = 110


Cell = str | int | float | None

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5b6570; --paper: #fff;
  --line: #d5dae0; --band: #f4f6f8; --accent: #0b62a8; --bad: #b3261e; --look: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7ea; --soft: #a2abb4; --paper: #16191d;
  --line: #3a4149; --band: #20252b; --accent: #6cb4f0; --bad: #ff8a80; --look: #f0b95a; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 72rem; margin: 0 auto; padding: 1.5rem; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; margin: 0 0 1rem; }
h2 { font-size: 1.3rem; margin: 2rem 0 .5rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .3rem; }
p { margin: .4rem 0; max-width: 50rem; white-space: pre-line; }
p.note { color: var(--soft); } p.bad { color: var(--bad); } p.look { color: var(--look); }
pre { background: var(--band); padding: .7rem; overflow-x: auto; font-size: .85rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0; font-size: .92rem; }
caption { text-align: left; color: var(--soft); padding: .2rem 0; }
th, td { text-align: left; padding: .25rem .8rem .25rem .4rem; vertical-align: top;
  border-bottom: 1px solid var(--line); min-width: 2.5rem; }
th { overflow-wrap: normal; color: var(--soft); font-weight: 600; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td.number { white-space: nowrap; }
tbody tr:nth-child(even) { background: var(--band); }
figure { margin: .5rem 0; } figcaption { color: var(--soft); font-size: .85rem; }
img { max-width: 100%; height: auto; display: block; background: #fff; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr));
  gap: 1rem; }
.gallery img { width: 100%; }
details { border: 1px solid var(--line); border-radius: .3rem; padding: .4rem .8rem;
  margin: .6rem 0; }
summary { cursor: pointer; color: var(--accent); }
"""
# Nothing but what stands in the file may be shown, whatever slipped into it.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_KINDS = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"))


@dataclass(frozen=True)
class Heading:
    """A heading: level 2 for a chapter, 3 within one."""

    text: str
    level: Literal[2, 3] = 2


@dataclass(frozen=True)
class Text:
    """A paragraph; line breaks stay.

    Args:
        text: plain text.
        kind: `plain`; `note` in grey; `bad` for errors; `look` for warnings; `code` for text whose
            columns must stay under one another.
    """

    text: str
    kind: Literal["plain", "note", "bad", "look", "code"] = "plain"


@dataclass(frozen=True)
class Table:
    """Rows under column names. Numbers stand to the right; a float is shown in `places` digits.

    Args:
        columns: their names.
        rows: as many cells each; None is shown as a dash.
        caption: a line above it.
        places: digits behind the point of a float.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    places: int = 3


@dataclass(frozen=True)
class Picture:
    """An image in the page.

    Args:
        data: the bytes of a PNG or JPEG file.
        caption: a line beneath it, which also stands for it where images are not shown.
        width: in CSS pixels; None for that of the image. Never wider than the page.
    """

    data: bytes
    caption: str = ""
    width: int | None = None


@dataclass(frozen=True)
class Gallery:
    """Pictures side by side, as many in a row as there is room for."""

    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Details:
    """Blocks that are folded away behind a line, unless `opened`."""

    summary: str
    blocks: "Sequence[Block]"
    opened: bool = False


Block = Heading | Text | Table | Picture | Gallery | Details


def render_page(title: str, blocks: Sequence[Block]) -> str:
    """Render a whole HTML page, to be written as UTF-8.

    Every text is escaped, images lie within the page, and it forbids itself scripts and network.

    Raises:
        InvalidValue: a picture is neither PNG nor JPEG, or a row has not the cells of its table.
    """
    name = _escape(title)
    body = "\n".join(map(_render, blocks))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{name}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<h1>{name}</h1>\n{body}\n</body>\n</html>\n"
    )


def save_page(folder: Path, page: str, files: Mapping[str, bytes | str] | None = None) -> Path:
    """Write a page as `report.html`, and what goes with it, into a folder.

    It is made if it is not there. Files in it are never overwritten: the new ones get a number.

    Args:
        folder: of the page.
        page: what `render_page` made.
        files: name → content of what lies beside the page.

    Returns:
        The path of the page.
    """
    make_folder(folder)
    if files:
        make_output_folder(folder)
    for name, content in (files or {}).items():
        write_file(folder / name, content, overwrite=False)
    return write_file(folder / "report.html", page, overwrite=False)


def _render(block: Block) -> str:
    match block:
        case Heading():
            return f"<h{block.level}>{_escape(block.text)}</h{block.level}>"
        case Text(kind="code"):
            return f"<pre>{_escape(block.text)}</pre>"
        case Text():
            return f'<p class="{block.kind}">{_escape(block.text)}</p>'
        case Table():
            return _render_table(block)
        case Picture():
            return _render_picture(block)
        case Gallery():
            shown = "\n".join(map(_render_picture, block.pictures))
            return f'<div class="gallery">\n{shown}\n</div>'
        case Details():
            inner = "\n".join(map(_render, block.blocks))
            opened = " open" if block.opened else ""
            summary = f"<summary>{_escape(block.summary)}</summary>"
            return f"<details{opened}>{summary}\n{inner}\n</details>"


def _render_table(table: Table) -> str:
    width = len(table.columns)
    for number, row in enumerate(table.rows):
        if len(row) != width:
            raise InvalidValue(f"row {number} of the table", f"{len(row)} cells", f"{width} cells")
    numeric = [
        bool(table.rows) and all(isinstance(row[place], int | float | None) for row in table.rows)
        for place in range(width)
    ]
    marks = [' class="number"' if is_number else "" for is_number in numeric]
    head = "".join(
        f"<th{mark}>{_escape(name)}</th>" for mark, name in zip(marks, table.columns, strict=True)
    )
    rows = "\n".join(
        "<tr>"
        + "".join(
            f"<td{mark}>{_escape(_show(cell, table.places))}</td>"
            for mark, cell in zip(marks, row, strict=True)
        )
        + "</tr>"
        for row in table.rows
    )
    caption = f"<caption>{_escape(table.caption)}</caption>" if table.caption else ""
    return (
        f'<div class="wide"><table>{caption}<thead><tr>{head}</tr></thead>'
        f"<tbody>\n{rows}\n</tbody></table></div>"
    )


def _render_picture(picture: Picture) -> str:
    kind = next((kind for start, kind in _KINDS if picture.data.startswith(start)), None)
    if kind is None:
        raise InvalidValue("the data of a picture", picture.data[:8], "the bytes of a PNG or JPEG")
    source = f"data:{kind};base64,{base64.b64encode(picture.data).decode()}"
    caption = _escape(picture.caption)
    width = "" if picture.width is None else f' width="{picture.width}"'
    below = f"<figcaption>{caption}</figcaption>" if caption else ""
    return f'<figure><img src="{source}" alt="{caption}"{width}>{below}</figure>'


def _show(cell: Cell, places: int) -> str:
    """Format a cell: thousands separated, floats in `places` digits, a dash for None."""
    match cell:
        case None:
            return "–"
        case bool() | str():
            return str(cell)
        case int():
            return f"{cell:,}"
        case _:
            return f"{cell:.{places}f}"


def _escape(text: str) -> str:
    """Escape text for HTML, and for UTF-8 whatever it holds."""
    return html.escape(printable(text, keep="\n\t"))


def new_figure(
    width: float = 6.4, height: float = 4.0, *, rows: int = 1, columns: int = 1
) -> "tuple[Figure, list[Axes]]":
    """A figure and its axes, row by row, in the style of every report.

    Args:
        width, height: of the whole, in inches.
        rows, columns: of axes in it.
    """
    # late: a page without figures needs no matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False)
    axes: list[Axes] = list(grid.ravel())
    for one in axes:
        one.set_prop_cycle(color=COLORS)
        one.spines[["top", "right"]].set_visible(False)
        one.grid(visible=True, color="#dddddd", linewidth=0.6)
        one.set_axisbelow(True)
    return figure, axes


def to_png(figure: "Figure") -> bytes:
    """The figure as a PNG file, in memory."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=DOTS_PER_INCH)
    return out.getvalue()


def plain_text(text: str, *, limit: int = 60) -> str:
    """Escape untrusted text for matplotlib: a `$` begins no formula."""
    return printable(text, limit=limit).replace("$", r"\$")
