"""Attention that a neck may put in front of its outputs: SAM and squeeze-and-excitation.

Papers: CBAM, https://arxiv.org/abs/1807.06521; YOLOv4, https://arxiv.org/abs/2004.10934, figure 5;
SE, https://arxiv.org/abs/1709.01507.
"""

from collections.abc import Callable

from torch import Tensor, nn

from .conv import ConvNormAct
from .mbconv import SqueezeExcite

REDUCTION = 16  # https://arxiv.org/abs/1709.01507, section 3.3


class ModifiedSam(nn.Module):
    """Multiply by a mask that a 1×1 convolution and a sigmoid compute from the features themselves.

    Shape: (N, channels, H, W) → the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mask = ConvNormAct(channels, channels, activation="logistic")

    def forward(self, x: Tensor) -> Tensor:
        masked: Tensor = self.mask(x) * x
        return masked


def channel_attention(channels: int) -> SqueezeExcite:
    """Squeeze-and-excitation as its paper has it; shape (N, channels, H, W) → the same."""
    return SqueezeExcite(channels, max(1, channels // REDUCTION), activation="relu")


# Every attention: Attention(channels) → module that keeps the shape.
ATTENTIONS: dict[str, Callable[[int], nn.Module]] = {"sam": ModifiedSam, "se": channel_attention}
