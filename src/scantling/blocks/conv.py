"""Convolution, normalisation, activation: the part that everything else is made of."""

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..errors import lookup
from .activation import ACTIVATIONS


class ConvNormAct(nn.Module):
    """A convolution without bias, batch normalisation, an activation.

    Shape: (N, in_channels, H, W) → (N, channels, ⌈H / stride⌉, ⌈W / stride⌉) for odd kernels and
    the default padding.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        kernel: int = 1,
        stride: int | tuple[int, int] = 1,
        padding: int | None = None,
        dilation: int = 1,
        groups: int = 1,
        activation: str = "mish",
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels,
            channels,
            kernel,
            stride,
            kernel // 2 * dilation if padding is None else padding,
            dilation=dilation,
            groups=groups,
            bias=False,
        )
        self.norm: nn.Module = nn.BatchNorm2d(channels, momentum=0.03)
        self.activation = lookup(ACTIVATIONS, activation, "activation")()

    def forward(self, x: Tensor) -> Tensor:
        activated: Tensor = self.activation(self.norm(self.conv(x)))
        return activated

    def fuse(self) -> None:
        """Fold the normalisation into the convolution. For inference: the statistics are frozen."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv.eval(), self.norm.eval())
            self.norm = nn.Identity()


@torch.no_grad()
def fuse_norms(network: nn.Module) -> None:
    """Fold every normalisation of `network` that follows a convolution into it, in place."""
    for module in network.modules():
        if isinstance(module, ConvNormAct):
            module.fuse()
