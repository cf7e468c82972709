"""Self-contained HTML pages, matplotlib figures as PNG, and drawn detections."""

from .page import (
    COLORS,
    Block,
    Cell,
    Details,
    Gallery,
    Heading,
    Picture,
    Table,
    Text,
    new_figure,
    plain_text,
    render_page,
    to_png,
)

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
