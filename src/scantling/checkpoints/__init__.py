"""Weights from files: native safetensors, and safe readers of other people's formats."""

from .classes import ClassTable, adapt_classes, match_classes
from .convert import convert_model, save_darknet
from .download import Progress
from .hub import default_cache, fetch_weights
from .load import load_model
from .model import Model
from .native import load_native, save_model
from .pytorch import load_pytorch

__all__ = [
    "ClassTable",
    "Model",
    "Progress",
    "adapt_classes",
    "convert_model",
    "default_cache",
    "fetch_weights",
    "load_model",
    "load_native",
    "load_pytorch",
    "match_classes",
    "save_darknet",
    "save_model",
]
