"""Which version of an engine is installed; nothing is loaded to find out."""

import importlib.metadata

from ...engines.hardware import has_package

PACKAGES = {"onnxruntime": ("onnxruntime", "onnxruntime-gpu")}


def engine_version(engine: str) -> str:
    """The version of an engine's package, as a profile has it; empty where it is not installed."""
    for package in PACKAGES.get(engine, (engine,)):
        if has_package(package):
            return importlib.metadata.version(package)
    return ""
