"""Models and their weights: native safetensors, and safe readers of other formats."""

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .classes import adapt_classes as adapt_classes
    from .convert import convert_model as convert_model, save_darknet as save_darknet
    from .create import (
        anchors_of as anchors_of,
        create_model as create_model,
        prepare_model as prepare_model,
        with_anchors as with_anchors,
        with_image_size as with_image_size,
    )
    from .download import Progress as Progress
    from .effdet import effdet_state_dict as effdet_state_dict, save_effdet as save_effdet
    from .hub import fetch_weights as fetch_weights
    from .load import load_model as load_model
    from .model import Model as Model
    from .native import load_native as load_native, save_model as save_model
    from .pytorch import load_pytorch as load_pytorch

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "classes": ["adapt_classes"],
        "convert": ["convert_model", "save_darknet"],
        "create": [
            "anchors_of",
            "create_model",
            "prepare_model",
            "with_anchors",
            "with_image_size",
        ],
        "download": ["Progress"],
        "effdet": ["effdet_state_dict", "save_effdet"],
        "hub": ["fetch_weights"],
        "load": ["load_model"],
        "model": ["Model"],
        "native": ["load_native", "save_model"],
        "pytorch": ["load_pytorch"],
    },
)
