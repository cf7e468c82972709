"""Atrous spatial pyramid pooling: the same features seen by convolutions of several dilations.

Papers: DeepLabv3, https://arxiv.org/abs/1706.05587, section 3.3; named as an alternative to SPP by
YOLOv4, https://arxiv.org/abs/2004.10934.
"""

import torch
from torch import Tensor, nn

from ..errors import lookup
from .activation import ACTIVATIONS
from .conv import ConvNormAct


class AtrousPyramidPool(nn.Module):
    """A 1×1, a 3×3 for each dilation and the mean of the image, concatenated and mixed by a 1×1.

    Shape: (N, in_channels, H, W) → (N, channels, H, W).
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        dilations: tuple[int, ...] = (6, 12, 18),
        activation: str = "relu",
    ) -> None:
        super().__init__()
        self.point = ConvNormAct(in_channels, channels, activation=activation)
        self.dilated = nn.ModuleList(
            ConvNormAct(in_channels, channels, kernel=3, dilation=dilation, activation=activation)
            for dilation in dilations
        )
        # not normalised: one image alone has no variance after its mean was taken
        self.image = nn.Conv2d(in_channels, channels, 1)
        self.activation = lookup(ACTIVATIONS, activation, "activation")()
        self.merge = ConvNormAct((2 + len(dilations)) * channels, channels, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        seen = [self.point(x), *(conv(x) for conv in self.dilated)]
        image = self.activation(self.image(x.mean(dim=(2, 3), keepdim=True)))
        merged: Tensor = self.merge(torch.cat([*seen, image.expand_as(seen[0])], dim=1))
        return merged
