"""A stage of ghost modules: half of the channels are convolved, the others cheap copies of them.

Paper: GhostNet, https://arxiv.org/abs/1911.11907, section 3.1.
"""

import torch
from torch import Tensor, nn

from scantling.blocks import ConvNormAct


class GhostConv(nn.Module):
    """A 1×1 to half of the channels, and a depthwise 3×3 of these for the other half.

    Shape: (N, in_channels, H, W) → (N, channels, H, W), channels even.
    """

    def __init__(self, in_channels: int, channels: int, *, activation: str) -> None:
        super().__init__()
        half = channels // 2
        self.primary = ConvNormAct(in_channels, half, activation=activation)
        self.cheap = ConvNormAct(half, half, kernel=3, groups=half, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        primary = self.primary(x)
        return torch.cat([primary, self.cheap(primary)], dim=1)


class GhostStage(nn.Module):
    """A strided 3×3, then `depth` residual blocks of two ghost convolutions.

    Shape: (N, in_channels, H, W) → (N, channels, ⌈H / stride⌉, ⌈W / stride⌉).

    Attributes:
        feature_channels: how many of the last channels go to the neck.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        depth: int,
        *,
        stride: int = 2,
        activation: str = "mish",
    ) -> None:
        super().__init__()
        self.feature_channels = channels
        self.down = ConvNormAct(
            in_channels, channels, kernel=3, stride=stride, activation=activation
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(
                GhostConv(channels, channels, activation=activation),
                GhostConv(channels, channels, activation="linear"),
            )
            for _ in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.down(x)
        for block in self.blocks:
            x = x + block(x)
        return x
