"""Profile a device: time chains of primitive operations on one engine."""

from ..profiling.profiler import ENGINES, measure_device
from ..profiling.versions import engine_version

__all__ = ["ENGINES", "engine_version", "measure_device"]
