"""What is dropped in training: blocks of cells, whole channels, whole residual branches.

Papers: DropBlock, https://arxiv.org/abs/1810.12890; DropPath, https://arxiv.org/abs/1605.07648;
spatial dropout, https://arxiv.org/abs/1411.4280.
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
