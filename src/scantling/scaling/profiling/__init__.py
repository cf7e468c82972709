"""Profile a device: time chains of primitive operations on one engine."""

from .profiler import measure_device

__all__ = ["measure_device"]
