"""Image → features, finest first. Every backbone announces its `channels`."""

from collections.abc import Callable

from torch import nn

from .staged import StagedBackbone

# Every backbone: Backbone(spec).
BACKBONES: dict[str, Callable[..., nn.Module]] = {
    "staged": StagedBackbone,
}

__all__ = ["BACKBONES", "StagedBackbone"]
