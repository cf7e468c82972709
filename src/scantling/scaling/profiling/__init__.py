"""Profile a device: time chains of primitive operations on one engine."""

from .profiler import ENGINES, measure_device
from .versions import engine_version

__all__ = ["ENGINES", "engine_version", "measure_device"]
