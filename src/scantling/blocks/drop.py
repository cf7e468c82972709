"""Dropping in training, of blocks of cells, channels, residual branches or weights.

Papers: DropBlock, https://arxiv.org/abs/1810.12890; DropPath, https://arxiv.org/abs/1605.07648;
spatial dropout, https://arxiv.org/abs/1411.4280; DropConnect,
https://proceedings.mlr.press/v28/wan13.html.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .bottleneck import Bottleneck
from .mbconv import MbConv
from .residual import DarkResidual, ResNextBlock


class DropBlock(nn.Module):
    """In training, blank squares of cells in every channel, and scale up what is left.

    Shape: (N, C, H, W) → the same.

    Args:
        probability: share of the cells that are blanked at full strength.
        size: side of a square, in cells; at most the side of the map.

    Attributes:
        progress: 0 to 1, multiplies the probability.
    """

    def __init__(self, probability: float, *, size: int = 7) -> None:
        super().__init__()
        self.probability = probability
        self.size = size
        self.progress = 1.0

    def forward(self, x: Tensor) -> Tensor:
        share = self.probability * self.progress
        if not self.training or share == 0:
            return x
        height, width = x.shape[2:]
        size = min(self.size, height, width)
        places = (height - size + 1) * (width - size + 1)
        # equation 1: so many squares that their cells, were they apart, make up the share
        rate = share / size**2 * height * width / places
        corners = torch.rand(*x.shape[:2], height - size + 1, width - size + 1, device=x.device).lt(
            rate
        )
        edge = size - 1
        blanked = F.max_pool2d(F.pad(corners.float(), (edge, edge, edge, edge)), size, stride=1)
        kept = 1 - blanked
        scale = kept.numel() / kept.sum().clamp(min=1)
        return x * (kept * scale).to(x.dtype)


class SpatialDropout(nn.Module):
    """In training, blank whole channels, and scale up the others.

    Shape: (N, C, H, W) → the same.

    Args:
        probability: of a channel, at full strength.

    Attributes:
        progress: 0 to 1, multiplies the probability.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability
        self.progress = 1.0

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout2d(x, self.probability * self.progress, training=self.training)


class DropPath(nn.Module):
    """In training, leave a residual branch out for some images, and scale it up for the others.

    Shape: (N, …) → the same.

    Args:
        probability: of an image, at full strength.

    Attributes:
        progress: 0 to 1, multiplies the probability.
    """

    def __init__(self, probability: float = 0.0) -> None:
        super().__init__()
        self.probability = probability
        self.progress = 1.0

    def forward(self, x: Tensor) -> Tensor:
        gone = self.probability * self.progress
        if not self.training or gone == 0:
            return x
        kept = torch.rand(len(x), *[1] * (x.ndim - 1), device=x.device).ge(gone)
        return x * (kept / (1 - gone)).to(x.dtype)


class DropConnect(nn.Conv2d):
    """In training, drop some weights of a convolution, and scale up the others.

    It shares the parameters of the convolution, so that a checkpoint has the same tensors. All
    images of a batch have the same mask.

    Shape: that of the convolution.

    Args:
        conv: the convolution that this takes the place of.
        probability: of a weight, at full strength.

    Attributes:
        progress: 0 to 1, multiplies the probability.
    """

    def __init__(self, conv: nn.Conv2d, probability: float) -> None:
        super().__init__(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,  # type: ignore[arg-type]
            conv.stride,  # type: ignore[arg-type]
            conv.padding,  # type: ignore[arg-type]
            conv.dilation,  # type: ignore[arg-type]
            conv.groups,
            conv.bias is not None,
            conv.padding_mode,
            device="meta",
        )
        self.weight, self.bias = conv.weight, conv.bias
        self.train(conv.training)
        self.probability = probability
        self.progress = 1.0

    def forward(self, x: Tensor) -> Tensor:
        weight = F.dropout(self.weight, self.probability * self.progress, training=self.training)
        convolved: Tensor = self._conv_forward(x, weight, self.bias)
        return convolved


def set_drop_path(network: nn.Module, probability: float) -> int:
    """Drop residual branches in training, the deepest with this probability, the others less.

    Returns:
        How many branches there are.
    """
    blocks = [
        module
        for module in network.modules()
        if isinstance(module, (Bottleneck, DarkResidual, ResNextBlock))
        or (isinstance(module, MbConv) and module.adds_input)
    ]
    for place, block in enumerate(blocks, start=1):
        block.drop_path = DropPath(probability * place / len(blocks))
    return len(blocks)


def set_drop_connect(network: nn.Module, probability: float) -> int:
    """Drop weights of every convolution in training, but of depthwise and grouped ones.

    Returns:
        How many convolutions there are.
    """
    found = [
        (module, name, child)
        for module in network.modules()
        for name, child in module.named_children()
        if type(child) is nn.Conv2d and child.groups == 1
    ]
    for module, name, child in found:
        setattr(module, name, DropConnect(child, probability))
    return len(found)
