"""What a network costs, counted by running it; and the least time that it takes on a device."""

from .count import PRECISIONS, count_costs, part_of
from .fields import Field, Reach
from .layer import LayerCost, NetworkCost, PartCost, Totals, add_up
from .memory import LiveBytes
from .roof import Roof, read_roof
from .trace import Trace, trace_module

__all__ = [
    "PRECISIONS",
    "Field",
    "LayerCost",
    "LiveBytes",
    "NetworkCost",
    "PartCost",
    "Reach",
    "Roof",
    "Totals",
    "Trace",
    "add_up",
    "count_costs",
    "part_of",
    "read_roof",
    "trace_module",
]
