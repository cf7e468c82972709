"""Fused features → raw predictions, and their decoding. Imports no torch."""

from ..lazy import import_late
from .base import ClassRows, Head, HeadKind, RawLayout
from .efficientdet_decoding import decode_efficientdet
from .yolo_decoding import YOLO_LAYOUT, decode_yolo

# Every kind of head. Add a file, then an entry here.
HEADS: dict[str, HeadKind] = {
    "efficientdet": HeadKind(
        import_late(__name__, "efficientdet", "EfficientDetHead"),
        decode_efficientdet,
        ("offset",),
        RawLayout(separate=True, objectness=False),
        shares_levels=True,
        fits_anchors=False,
    ),
    "yolo": HeadKind(
        import_late(__name__, "yolo", "YoloHead"),
        decode_yolo,
        ("exponential", "sigmoid"),
        YOLO_LAYOUT,
    ),
}

__all__ = ["HEADS", "ClassRows", "Head", "HeadKind", "RawLayout"]
