"""Self-contained HTML pages, matplotlib figures as PNG, and drawn detections."""

from .figures import COLORS, new_figure, plain_text, to_png
from .page import Block, Cell, Details, Gallery, Heading, Picture, Table, Text, render_page

__all__ = [
    "COLORS",
    "Block",
    "Cell",
    "Details",
    "Gallery",
    "Heading",
    "Picture",
    "Table",
    "Text",
    "new_figure",
    "plain_text",
    "render_page",
    "to_png",
]
