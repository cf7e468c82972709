"""The stages of YOLOv4-tiny: one-shot aggregation on half of the channels, after a max-pool.

Papers: Scaled-YOLOv4 (CSPOSANet), https://arxiv.org/abs/2011.08036; OSA, https://arxiv.org/abs/1904.09730.
"""

import torch
from torch import Tensor, nn

from .conv import ConvNormAct


class CspOsaStage(nn.Module):
    """A 3×3 whose second half goes through `depth` more, all of them joined by a 1×1.

        x ─ pool ─ enter ─┬─ second half ─ 3×3 ─ 3×3 ─ concat, last first ─ transition ─┐
                          └─────────────────────────────────────────────────────────────┴─ concat

    The neck takes what `transition` computed, the second half of the output.

    Shape: (N, in_channels, H, W) → (N, channels, H / stride, W / stride).
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        depth: int,
        *,
        stride: int = 2,
        activation: str = "leaky",
    ) -> None:
        super().__init__()
        half, quarter = channels // 2, channels // 4
        self.feature_channels = half
        self.pool = nn.MaxPool2d(stride, stride, ceil_mode=True) if stride > 1 else nn.Identity()
        self.enter = ConvNormAct(in_channels, half, kernel=3, activation=activation)
        self.blocks = nn.ModuleList(
            ConvNormAct(quarter, quarter, kernel=3, activation=activation) for _ in range(depth)
        )
        self.transition = ConvNormAct(depth * quarter, half, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        # two chunks, not a slice: the gradient of a slice is a map of zeros, to be added up
        plain, deep = self.enter(self.pool(x)).chunk(2, dim=1)
        skipped = deep
        shots: list[Tensor] = []
        for block in self.blocks:
            deep = block(deep)
            shots.insert(0, deep)
        joined = self.transition(torch.cat(shots, dim=1))
        return torch.cat([plain, skipped, joined], dim=1)


class ConvStage(nn.Module):
    """`depth` 3×3 convolutions, the first of them strided.

    Shape: (N, in_channels, H, W) → (N, channels, H / stride, W / stride).
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        depth: int,
        *,
        stride: int = 2,
        activation: str = "leaky",
    ) -> None:
        super().__init__()
        self.feature_channels = channels
        self.convs = nn.Sequential(
            *(
                ConvNormAct(
                    in_channels if block == 0 else channels,
                    channels,
                    kernel=3,
                    stride=stride if block == 0 else 1,
                    activation=activation,
                )
                for block in range(depth)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        deep: Tensor = self.convs(x)
        return deep


class PooledConvStage(nn.Module):
    """A max-pool, then `depth` 3×3 convolutions.

    Shape: (N, in_channels, H, W) → (N, channels, H / stride, W / stride).
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        depth: int,
        *,
        stride: int = 2,
        activation: str = "leaky",
    ) -> None:
        super().__init__()
        self.feature_channels = channels
        self.pool = nn.MaxPool2d(stride, stride, ceil_mode=True) if stride > 1 else nn.Identity()
        self.convs = ConvStage(in_channels, channels, depth, stride=1, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        deep: Tensor = self.convs(self.pool(x))
        return deep
