"""Candidates → detections: threshold, the best few, non-maximum suppression or fusion."""

from .selection import NMS, Selection, rank, select, suppress
from .suppression import Ranked

__all__ = ["NMS", "Ranked", "Selection", "rank", "select", "suppress"]
