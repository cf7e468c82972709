"""ResNet's and ResNeXt's bottlenecks in stages, plain and cross-stage partial.

Papers: ResNet, https://arxiv.org/abs/1512.03385; ResNeXt, https://arxiv.org/abs/1611.05431; CSPNet,
https://arxiv.org/abs/1911.11929.
"""

from torch import Tensor, nn

from ..errors import lookup
from .activation import ACTIVATIONS
from .conv import ConvNormAct
from .csp import CrossStagePartial


class Bottleneck(nn.Module):
    """1×1 to `hidden` channels, a 3×3 in `groups`, a linear 1×1 back; activated after the sum.

    Shape: (N, channels, H, W) → the same.
    """

    def __init__(self, channels: int, hidden: int, *, groups: int, activation: str) -> None:
        super().__init__()
        self.reduce = ConvNormAct(channels, hidden, activation=activation)
        self.middle = ConvNormAct(hidden, hidden, kernel=3, groups=groups, activation=activation)
        self.expand = ConvNormAct(hidden, channels, activation="linear")
        self.drop_path: nn.Module = nn.Identity()
        self.activation = lookup(ACTIVATIONS, activation, "activation")()

    def forward(self, x: Tensor) -> Tensor:
        deep = self.drop_path(self.expand(self.middle(self.reduce(x))))
        added: Tensor = self.activation(x + deep)
        return added


class ResNetStage(nn.Module):
    """A strided 3×3, then `depth` bottlenecks in line.

    Shape: (N, in_channels, H, W) → (N, channels, H / stride, W / stride).

    Args:
        bottleneck: width inside a block, as a share of `channels`.
        groups: of the 3×3 inside a block.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        depth: int,
        *,
        stride: int = 2,
        activation: str = "leaky",
        bottleneck: float = 0.25,
        groups: int = 1,
    ) -> None:
        super().__init__()
        hidden = round(channels * bottleneck)
        self.feature_channels = channels
        self.down = ConvNormAct(
            in_channels, channels, kernel=3, stride=stride, activation=activation
        )
        self.blocks = nn.Sequential(
            *(
                Bottleneck(channels, hidden, groups=groups, activation=activation)
                for _ in range(depth)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        deep: Tensor = self.blocks(self.down(x))
        return deep


def resnext_stage(
    in_channels: int,
    channels: int,
    depth: int,
    *,
    stride: int = 2,
    activation: str = "leaky",
    bottleneck: float = 0.5,
    groups: int = 32,
) -> ResNetStage:
    """The same with ResNeXt's bottlenecks: half as wide inside, in 32 groups."""
    return ResNetStage(
        in_channels,
        channels,
        depth,
        stride=stride,
        activation=activation,
        bottleneck=bottleneck,
        groups=groups,
    )


class CspResNetStage(CrossStagePartial):
    """CSP around ResNet's bottlenecks, both branches half as wide as the output.

    Shape: (N, in_channels, H, W) → (N, channels, H / stride, W / stride).

    Args:
        bottleneck: width inside a block, as a share of the branch.
        groups: of the 3×3 inside a block.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        depth: int,
        *,
        stride: int = 2,
        activation: str = "leaky",
        bottleneck: float = 0.5,
        groups: int = 1,
    ) -> None:
        branch = channels // 2
        hidden = round(branch * bottleneck)
        super().__init__(
            in_channels,
            channels,
            depth,
            stride=stride,
            activation=activation,
            branch=branch,
            block=lambda: Bottleneck(branch, hidden, groups=groups, activation=activation),
        )
