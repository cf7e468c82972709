"""A demonstration without any file: drawn pictures, a thin model that learns them, a report."""

from .run import Demo, demo
from .scenes import draw_dataset

__all__ = ["Demo", "demo", "draw_dataset"]
