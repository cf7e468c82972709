"""Models and their weights: native safetensors, and safe readers of other formats."""

from ..specs.classes import match_classes
from .classes import adapt_classes
from .convert import convert_model, save_darknet
from .create import create_model
from .download import Progress
from .effdet import effdet_state_dict, save_effdet
from .hub import fetch_weights
from .load import load_model
from .model import Model
from .native import load_native, save_model
from .prepare import anchors_of, prepare_model, with_anchors, with_image_size
from .pytorch import load_pytorch

__all__ = [
    "Model",
    "Progress",
    "adapt_classes",
    "anchors_of",
    "convert_model",
    "create_model",
    "effdet_state_dict",
    "fetch_weights",
    "load_model",
    "load_native",
    "load_pytorch",
    "match_classes",
    "prepare_model",
    "save_darknet",
    "save_effdet",
    "save_model",
    "with_anchors",
    "with_image_size",
]
