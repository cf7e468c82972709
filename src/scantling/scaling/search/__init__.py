"""Search for the best model within a budget, and measure it on this machine."""

from .device import Device, open_device
from .measured_latency import MeasuredLatency, verify_latency
from .pareto_front import draw_pareto_front
from .scaled_model import ScaledModel, scale
from .summary import (
    describe_model,
    neighbour_table,
    pareto_columns,
    pareto_table,
    summarise_spec,
    to_record,
    write_scaled_model,
)

__all__ = [
    "Device",
    "MeasuredLatency",
    "ScaledModel",
    "describe_model",
    "draw_pareto_front",
    "neighbour_table",
    "open_device",
    "pareto_columns",
    "pareto_table",
    "scale",
    "summarise_spec",
    "to_record",
    "verify_latency",
    "write_scaled_model",
]
