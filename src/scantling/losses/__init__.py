"""Raw predictions and targets → loss terms: target assignment and loss, per family.

Names are imported when they are first used: settings load no torch.
"""

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .darknet import DarknetLoss as DarknetLoss
    from .efficientdet import EfficientDetLoss as EfficientDetLoss
    from .scaled_yolov4 import ScaledYolov4Loss as ScaledYolov4Loss
    from .settings import (
        BaseLossSettings as BaseLossSettings,
        DarknetSettings as DarknetSettings,
        EfficientDetSettings as EfficientDetSettings,
        ScaledYolov4Settings as ScaledYolov4Settings,
        class_weights_of as class_weights_of,
    )
    from .table import (
        LOSSES as LOSSES,
        Loss as Loss,
        LossKind as LossKind,
        LossSettings as LossSettings,
        build_loss as build_loss,
    )

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "darknet": ["DarknetLoss"],
        "efficientdet": ["EfficientDetLoss"],
        "scaled_yolov4": ["ScaledYolov4Loss"],
        "settings": [
            "DarknetSettings",
            "EfficientDetSettings",
            "BaseLossSettings",
            "ScaledYolov4Settings",
            "class_weights_of",
        ],
        "table": ["LOSSES", "Loss", "LossKind", "LossSettings", "build_loss"],
    },
)
