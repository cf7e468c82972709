"""Candidates → detections: threshold, the best few, non-maximum suppression."""

from .selection import NMS, Selected, Selection, select

__all__ = ["NMS", "Selected", "Selection", "select"]
