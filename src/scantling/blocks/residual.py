"""Residual blocks and plain stages: what comes in is added to what was computed from it.

Papers: YOLOv3, https://arxiv.org/abs/1804.02767; ResNeXt, https://arxiv.org/abs/1611.05431.
"""

import torch
from torch import Tensor, nn

from ..errors import lookup
from .activation import ACTIVATIONS
from .conv import ConvNormAct


class DarkResidual(nn.Module):
    """Darknet's residual: a 1×1 to `hidden` channels, a 3×3 back, added to the input.

    Shape: (N, channels, H, W) → the same.
    """

    def __init__(self, channels: int, hidden: int, *, activation: str = "mish") -> None:
        super().__init__()
        self.reduce = ConvNormAct(channels, hidden, activation=activation)
        self.expand = ConvNormAct(hidden, channels, kernel=3, activation=activation)
        self.drop_path: nn.Module = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = x + self.drop_path(self.expand(self.reduce(x)))
        return added


class ResidualStage(nn.Module):
    """A strided 3×3, then `depth` residuals in line.

    Shape: (N, in_channels, H, W) → (N, channels, H / stride, W / stride).
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        depth: int,
        *,
        stride: int = 2,
        activation: str = "mish",
        bottleneck: float = 0.5,
    ) -> None:
        super().__init__()
        hidden = round(channels * bottleneck)
        self.feature_channels = channels
        self.down = ConvNormAct(
            in_channels, channels, kernel=3, stride=stride, activation=activation
        )
        self.blocks = nn.Sequential(
            *(DarkResidual(channels, hidden, activation=activation) for _ in range(depth))
        )

    def forward(self, x: Tensor) -> Tensor:
        deep: Tensor = self.blocks(self.down(x))
        return deep


class ResNextBlock(nn.Module):
    """1×1, grouped 3×3, linear 1×1; activated after the sum.

    An input narrower than `channels` is added to the first channels only, as darknet does.

    Shape: (N, in_channels, H, W) → (N, channels, H, W), in_channels ≤ channels.
    """

    def __init__(
        self, in_channels: int, channels: int, *, groups: int = 32, activation: str = "leaky"
    ) -> None:
        super().__init__()
        self.enter = ConvNormAct(in_channels, channels, activation=activation)
        self.grouped = ConvNormAct(
            channels, channels, kernel=3, groups=groups, activation=activation
        )
        self.leave = ConvNormAct(channels, channels, activation="linear")
        self.drop_path: nn.Module = nn.Identity()
        self.activation = lookup(ACTIVATIONS, activation, "activation")()

    def forward(self, x: Tensor) -> Tensor:
        deep = self.drop_path(self.leave(self.grouped(self.enter(x))))
        activated: Tensor = self.activation(add_channels(deep, x))
        return activated


class CspResNextStage(nn.Module):
    """CSP around ResNeXt blocks, both branches half as wide as the output.

    With stride 1 there is no strided convolution in front, and the deep branch enters at the width
    it was given: the first stage of CSPResNeXt50, after its pooled stem.

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
        groups: int = 32,
        split_activation: str = "linear",
    ) -> None:
        super().__init__()
        branch = channels // 2
        width = in_channels if stride == 1 else branch
        self.feature_channels = channels
        self.down: nn.Module = nn.Identity()
        if stride > 1:
            self.down = ConvNormAct(
                in_channels, width, kernel=3, stride=stride, groups=groups, activation=activation
            )
        self.bypass = ConvNormAct(width, branch, activation=split_activation)
        self.enter = ConvNormAct(width, width, activation=split_activation)
        self.blocks = nn.Sequential(
            *(
                ResNextBlock(
                    width if block == 0 else branch, branch, groups=groups, activation=activation
                )
                for block in range(depth)
            )
        )
        self.leave = ConvNormAct(branch, branch, activation=activation)
        self.merge = ConvNormAct(2 * branch, channels, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        x = self.down(x)
        deep = self.leave(self.blocks(self.enter(x)))
        merged: Tensor = self.merge(torch.cat([deep, self.bypass(x)], dim=1))
        return merged


def add_channels(x: Tensor, narrow: Tensor) -> Tensor:
    """`x` with `narrow` added to its first channels.

    Args:
        x: (N, C, H, W).
        narrow: (N, C', H, W) with C' ≤ C.
    """
    channels = narrow.shape[1]
    if channels == x.shape[1]:
        return x + narrow
    return torch.cat([x[:, :channels] + narrow, x[:, channels:]], dim=1)
