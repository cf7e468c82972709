"""Raw predictions and targets → loss terms: target assignment and loss, per family.

Names are imported when they are first used: settings load no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .darknet import DarknetLoss
    from .efficientdet import EfficientDetLoss
    from .levels import LossLevel, loss_levels
    from .scaled_yolov4 import ScaledYolov4Loss
    from .settings import (
        DarknetSettings,
        EfficientDetSettings,
        LossSettings,
        ScaledYolov4Settings,
        class_weights_of,
    )
    from .table import LOSSES, Loss, build_loss

_HOMES = {
    "LOSSES": "table",
    "DarknetLoss": "darknet",
    "DarknetSettings": "settings",
    "EfficientDetLoss": "efficientdet",
    "EfficientDetSettings": "settings",
    "Loss": "table",
    "LossLevel": "levels",
    "LossSettings": "settings",
    "ScaledYolov4Loss": "scaled_yolov4",
    "ScaledYolov4Settings": "settings",
    "build_loss": "table",
    "class_weights_of": "settings",
    "loss_levels": "levels",
}

__all__ = [
    "LOSSES",
    "DarknetLoss",
    "DarknetSettings",
    "EfficientDetLoss",
    "EfficientDetSettings",
    "Loss",
    "LossLevel",
    "LossSettings",
    "ScaledYolov4Loss",
    "ScaledYolov4Settings",
    "build_loss",
    "class_weights_of",
    "loss_levels",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
