"""The demo: train a thin model on drawn images, offline, and report."""

from .run import Demo, demo
from .scenes import draw_dataset

__all__ = ["Demo", "demo", "draw_dataset"]
