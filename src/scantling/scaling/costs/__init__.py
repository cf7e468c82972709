"""Network cost, counted by tracing a run on meta tensors; rooflines."""

from .count import PRECISIONS, count_costs, part_of
from .layer import LayerCost, NetworkCost, PartCost, Totals, add_up
from .live_bytes import LiveBytes
from .receptive_field import ReceptiveField, ReceptiveField1D
from .roofline import Roofline, read_roofline
from .trace import Trace, trace_module

__all__ = [
    "PRECISIONS",
    "LayerCost",
    "LiveBytes",
    "NetworkCost",
    "PartCost",
    "ReceptiveField",
    "ReceptiveField1D",
    "Roofline",
    "Totals",
    "Trace",
    "add_up",
    "count_costs",
    "part_of",
    "read_roofline",
    "trace_module",
]
