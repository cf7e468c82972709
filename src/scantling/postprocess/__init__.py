"""Candidates → detections: threshold, the best few, non-maximum suppression or fusion."""

from .selection import NMS, Rows, Selected, Selection, choose, gather, select
from .views import select_views

__all__ = [
    "NMS",
    "Rows",
    "Selected",
    "Selection",
    "choose",
    "gather",
    "select",
    "select_views",
]
