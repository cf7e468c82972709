"""Matplotlib figures in one style, without pyplot's global state."""

import io

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..errors import printable

# Colours that stay apart for the colour-blind (Okabe and Ito), blue first.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555", "#f0e442")
DOTS_PER_INCH = 110


def new_figure(
    width: float = 6.4, height: float = 4.0, *, rows: int = 1, columns: int = 1
) -> tuple[Figure, list[Axes]]:
    """A figure and its axes, row by row, in the style of every report.

    Args:
        width, height: of the whole, in inches.
        rows, columns: of axes in it.
    """
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


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG file, in memory."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=DOTS_PER_INCH)
    return out.getvalue()


def plain_text(text: str, *, limit: int = 60) -> str:
    """Escape untrusted text for matplotlib: a `$` begins no formula."""
    return printable(text, limit=limit).replace("$", r"\$")
