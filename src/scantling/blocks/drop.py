"""What is dropped in training: blocks of cells, whole channels, residual branches, weights.

Papers: DropBlock, https://arxiv.org/abs/1810.12890; DropPath, https://arxiv.org/abs/1605.07648;
spatial dropout, https://arxiv.org/abs/1411.4280; DropConnect,
https://proceedings.mlr.press/v28/wan13.html.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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
    """A convolution that, in training, leaves out some of its weights and scales up the others.

    Made from a convolution, whose parameters it shares, so that what is saved of a network stays
    the same. One mask is drawn for a batch.

    Shape: as of the convolution.

    Args:
        conv: whose weights are dropped.
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
