"""Self-contained HTML pages, matplotlib figures as PNG, and drawn detections.

Names are imported when they are first used: who draws on an image needs no matplotlib.
"""

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .page import (
        COLORS as COLORS,
        Block as Block,
        Cell as Cell,
        Details as Details,
        Gallery as Gallery,
        Heading as Heading,
        Picture as Picture,
        Table as Table,
        Text as Text,
        new_figure as new_figure,
        plain_text as plain_text,
        render_page as render_page,
        save_page as save_page,
        to_png as to_png,
    )

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "page": [
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
            "save_page",
            "to_png",
        ]
    },
)
