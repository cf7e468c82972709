"""The demo: train a thin model on drawn images, offline, and report."""

from .run import Demo, demo

__all__ = ["Demo", "demo"]
