"""The inverted residual of EfficientNet: expand, look around, weigh the channels, project.

Papers: MobileNetV2, https://arxiv.org/abs/1801.04381; EfficientNet,
https://arxiv.org/abs/1905.11946; squeeze-and-excitation, https://arxiv.org/abs/1709.01507.
"""

from torch import Tensor, nn

from ..errors import lookup
from .activation import ACTIVATIONS
from .conv import ConvNormAct


class SqueezeExcite(nn.Module):
    """Weigh each channel by what the whole image says of all of them.

    Shape: (N, channels, H, W) → the same.
    """

    def __init__(self, channels: int, hidden: int, *, activation: str = "swish") -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.activation = lookup(ACTIVATIONS, activation, "activation")()
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.mean(dim=(2, 3), keepdim=True)
        weights: Tensor = self.expand(self.activation(self.reduce(pooled))).sigmoid()
        return x * weights


class MbConv(nn.Module):
    """Expand by a 1×1, convolve depthwise, squeeze and excite, project by a linear 1×1.

    The input is added where it has the shape of the output. An expansion of 1 has no first 1×1, a
    `squeeze` of 0 no channel weights.

    Shape: (N, in_channels, H, W) → (N, channels, ⌈H / stride⌉, ⌈W / stride⌉).
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        expand: float = 6.0,
        squeeze: float = 0.25,
        activation: str = "swish",
        same_padding: bool = False,
    ) -> None:
        super().__init__()
        hidden = round(in_channels * expand)
        self.expand: nn.Module = nn.Identity()
        if hidden != in_channels:
            self.expand = ConvNormAct(in_channels, hidden, activation=activation)
        self.depthwise = ConvNormAct(
            hidden,
            hidden,
            kernel=kernel,
            stride=stride,
            groups=hidden,
            activation=activation,
            same_padding=same_padding,
        )
        self.excite: nn.Module = nn.Identity()
        if squeeze:
            squeezed = max(1, int(in_channels * squeeze))
            self.excite = SqueezeExcite(hidden, squeezed, activation=activation)
        self.project = ConvNormAct(hidden, channels, activation="linear")
        self.adds_input = stride == 1 and in_channels == channels
        self.drop_path: nn.Module = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.drop_path(self.project(self.excite(self.depthwise(self.expand(x)))))
        return x + y if self.adds_input else y


class MbConvStage(nn.Module):
    """`depth` inverted residuals, the first of them strided.

    Shape: (N, in_channels, H, W) → (N, channels, ⌈H / stride⌉, ⌈W / stride⌉).
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        depth: int,
        *,
        stride: int = 2,
        activation: str = "swish",
        kernel: int = 3,
        expand: float = 6.0,
        squeeze: float = 0.25,
        same_padding: bool = False,
    ) -> None:
        super().__init__()
        self.feature_channels = channels
        self.blocks = nn.Sequential(
            *(
                MbConv(
                    in_channels if block == 0 else channels,
                    channels,
                    kernel=kernel,
                    stride=stride if block == 0 else 1,
                    expand=expand,
                    squeeze=squeeze,
                    activation=activation,
                    same_padding=same_padding,
                )
                for block in range(depth)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        deep: Tensor = self.blocks(x)
        return deep
