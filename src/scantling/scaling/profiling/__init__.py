"""Profile a device: time chains of primitive operations on one engine."""

from .profiler import ENGINES, measure_device

__all__ = ["ENGINES", "measure_device"]
