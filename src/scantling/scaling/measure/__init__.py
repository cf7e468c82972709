"""Measures a device: what chains of primitives take on it, on one engine."""

from .run import ENGINES, measure_device
from .versions import engine_version

__all__ = ["ENGINES", "engine_version", "measure_device"]
