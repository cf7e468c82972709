"""Spatial attention, as YOLOv4 modified it: a mask for every point of every channel.

Papers: CBAM, https://arxiv.org/abs/1807.06521; YOLOv4, https://arxiv.org/abs/2004.10934, figure 5.
"""

from torch import Tensor, nn

from .conv import ConvNormAct


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
