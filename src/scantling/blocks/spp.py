"""Spatial pyramid pooling: the same features seen through windows of several sizes.

Papers: SPP, https://arxiv.org/abs/1406.4729; YOLOv4, https://arxiv.org/abs/2004.10934.
"""

import torch
from torch import Tensor, nn


class SpatialPyramidPool(nn.Module):
    """Max-pool with each kernel at stride 1, and concatenate, widest window first, input last.

    Shape: (N, C, H, W) → (N, C · (len(kernels) + 1), H, W).
    """

    def __init__(self, kernels: tuple[int, ...] = (5, 9, 13)) -> None:
        super().__init__()
        self.pools = nn.ModuleList(
            nn.MaxPool2d(kernel, stride=1, padding=kernel // 2) for kernel in kernels
        )

    def forward(self, x: Tensor) -> Tensor:
        pooled = [pool(x) for pool in self.pools]
        return torch.cat([*reversed(pooled), x], dim=1)
