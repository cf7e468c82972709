"""Candidates → detections: threshold, the best few, non-maximum suppression or fusion."""

from .crops import end_inside, select_crops
from .selection import NMS, Selection, rank, select, suppress
from .suppression import Ranked

__all__ = ["NMS", "Ranked", "Selection", "end_inside", "rank", "select", "select_crops", "suppress"]
