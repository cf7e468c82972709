"""Pages and figures for people: one HTML file that needs nothing else, and PNG of matplotlib."""

from .figures import COLORS, new_figure, plain_text, to_png
from .page import Cell, Details, Gallery, Heading, Part, Picture, Table, Text, render_page

__all__ = [
    "COLORS",
    "Cell",
    "Details",
    "Gallery",
    "Heading",
    "Part",
    "Picture",
    "Table",
    "Text",
    "new_figure",
    "plain_text",
    "render_page",
    "to_png",
]
