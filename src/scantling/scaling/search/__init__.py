"""Find the model that fits a budget, and check it on this machine."""

from .check import Measured, verify_fit
from .device import Device, open_device
from .figures import draw_front
from .report import (
    describe_fit,
    front_columns,
    front_table,
    neighbour_table,
    summarise_spec,
    to_record,
    write_fit,
)
from .run import Found, scale

__all__ = [
    "Device",
    "Found",
    "Measured",
    "describe_fit",
    "draw_front",
    "front_columns",
    "front_table",
    "neighbour_table",
    "open_device",
    "scale",
    "summarise_spec",
    "to_record",
    "verify_fit",
    "write_fit",
]
