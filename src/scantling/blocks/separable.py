"""Depthwise separable convolutions: every channel on its own, then a 1×1 across them.

Papers: Xception, https://arxiv.org/abs/1610.02357; EfficientDet, https://arxiv.org/abs/1911.09070.
"""

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..errors import lookup
from .activation import ACTIVATIONS
from .conv import FusibleNorm


class SeparableConv(nn.Module):
    """A 3×3 on each channel, without bias, then a 1×1.

    Shape: (N, in_channels, H, W) → (N, channels, H, W).
    """

    def __init__(self, in_channels: int, channels: int, *, bias: bool = True) -> None:
        super().__init__()
        self.depthwise = _depthwise(in_channels)
        self.pointwise = nn.Conv2d(in_channels, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.pointwise(self.depthwise(x))
        return mixed


class ActSeparableNorm(FusibleNorm):
    """An activation, a separable convolution, batch normalisation: a node of a BiFPN.

    Shape: (N, channels, H, W) → the same.
    """

    def __init__(self, channels: int, *, bias: bool, activation: str) -> None:
        super().__init__()
        self.activation = lookup(ACTIVATIONS, activation, "activation")()
        self.conv = SeparableConv(channels, channels, bias=bias)
        self.norm: nn.Module = nn.BatchNorm2d(channels, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        normed: Tensor = self.norm(self.conv(self.activation(x)))
        return normed

    def fuse(self) -> None:
        """Fold the normalisation into the 1×1. For inference: the statistics are frozen."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv.pointwise = fuse_conv_bn_eval(self.conv.pointwise.eval(), self.norm.eval())
            self.norm = nn.Identity()


class SharedSeparable(FusibleNorm):
    """A separable convolution that all levels share, and a normalisation of each one's own.

    Shape: (N, channels, H, W) and the number of the level → (N, channels, H, W).
    """

    def __init__(self, channels: int, levels: int, *, bias: bool, activation: str) -> None:
        super().__init__()
        self.depthwise = _depthwise(channels)
        pointwise = nn.Conv2d(channels, channels, 1, bias=bias)
        self.pointwise = nn.ModuleList([pointwise])  # one for all; fused, one a level
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels, momentum=0.01) for _ in range(levels))
        self.activation = lookup(ACTIVATIONS, activation, "activation")()

    def forward(self, x: Tensor, level: int) -> Tensor:
        pointwise = self.pointwise[level % len(self.pointwise)]
        activated: Tensor = self.activation(self.norms[level](pointwise(self.depthwise(x))))
        return activated

    def fuse(self) -> None:
        """Fold each level's normalisation into a 1×1 of its own. For inference."""
        (shared, *more), norms = self.pointwise, self.norms
        if isinstance(shared, nn.Conv2d) and not more:
            self.pointwise = nn.ModuleList(
                fuse_conv_bn_eval(shared.eval(), norm.eval())
                for norm in norms
                if isinstance(norm, nn.BatchNorm2d)
            )
            self.norms = nn.ModuleList(nn.Identity() for _ in norms)


def _depthwise(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
