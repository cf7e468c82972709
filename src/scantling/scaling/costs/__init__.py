"""Network cost, counted by tracing a run on meta tensors; rooflines."""

from .count import count_costs, part_of
from .layer import LayerCost, NetworkCost, PartCost, Totals, add_up
from .receptive_field import ReceptiveField, ReceptiveField1D
from .roofline import Roofline, read_roofline
from .trace import trace_module

__all__ = [
    "LayerCost",
    "NetworkCost",
    "PartCost",
    "ReceptiveField",
    "ReceptiveField1D",
    "Roofline",
    "Totals",
    "add_up",
    "count_costs",
    "part_of",
    "read_roofline",
    "trace_module",
]
