"""Backbones: image → feature maps, finest first."""

from collections.abc import Callable

from torch import nn

from .staged import StagedBackbone
from .timm import TimmBackbone, load_timm_weights, timm_backbone

# Every backbone: Backbone(spec).
BACKBONES: dict[str, Callable[..., nn.Module]] = {"staged": StagedBackbone, "timm": TimmBackbone}

__all__ = ["BACKBONES", "load_timm_weights", "timm_backbone"]
