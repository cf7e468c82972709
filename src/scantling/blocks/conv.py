"""Convolution, normalisation, activation, of which all else is made; and folding the middle one."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..errors import lookup
from .activation import ACTIVATIONS
from .padding import SamePad


class FusibleNorm(nn.Module, ABC):
    """A block with normalisations that `fuse_norms` folds into its convolutions."""

    @abstractmethod
    def fuse(self) -> None:
        """Fold each normalisation. For inference: the statistics are frozen."""


class ConvNormAct(FusibleNorm):
    """A convolution, batch normalisation, an activation.

    Shape: (N, in_channels, H, W) → (N, channels, ⌈H / stride⌉, ⌈W / stride⌉) for odd kernels and
    the default padding.

    Args:
        padding: pixels on every side; None for half of the kernel.
        bias: of the convolution; the normalisation makes it redundant.
        same_padding: pad as TensorFlow does instead, the odd pixel to the right and the bottom.
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
        bias: bool = False,
        activation: str = "mish",
        same_padding: bool = False,
    ) -> None:
        super().__init__()
        self.pad: nn.Module = nn.Identity()
        if same_padding and isinstance(stride, int) and stride > 1:
            self.pad, padding = SamePad(kernel, stride), 0
        self.conv = nn.Conv2d(
            in_channels,
            channels,
            kernel,
            stride,
            kernel // 2 * dilation if padding is None else padding,
            dilation=dilation,
            groups=groups,
            bias=bias,
        )
        self.norm: nn.Module = nn.BatchNorm2d(channels, momentum=0.03)
        self.activation = lookup(ACTIVATIONS, activation, "activation")()

    def forward(self, x: Tensor) -> Tensor:
        activated: Tensor = self.activation(self.norm(self.conv(self.pad(x))))
        return activated

    def fuse(self) -> None:
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv.eval(), self.norm.eval())
            self.norm = nn.Identity()


@torch.no_grad()
def fuse_norms(network: nn.Module) -> None:
    """Fold every batch normalisation into the convolution before it, in place, for inference."""
    for module in network.modules():
        if isinstance(module, FusibleNorm):
            module.fuse()
