"""Padding as TensorFlow's "SAME" has it: the odd pixel goes to the right and the bottom.

Source: https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2.
"""

import math

from torch import Tensor, nn
from torch.nn import functional as F


class SamePad(nn.Module):
    """Pad so that a window of `kernel` at `stride` gives ⌈side / stride⌉ cells.

    Shape: (N, C, H, W) → (N, C, H + up to kernel − 1, W + up to kernel − 1).

    Args:
        kernel: side of the window.
        stride: of the window.
        value: what the new pixels are; −inf for max-pooling.
    """

    def __init__(self, kernel: int, stride: int, *, value: float = 0.0) -> None:
        super().__init__()
        self.kernel = kernel
        self.stride = stride
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        vertical, horizontal = (self._missing(side) for side in x.shape[-2:])
        edges = [horizontal // 2, horizontal - horizontal // 2]
        edges += [vertical // 2, vertical - vertical // 2]
        return F.pad(x, edges, value=self.value)

    def _missing(self, side: int) -> int:
        """Pixels that `side` lacks."""
        return max((math.ceil(side / self.stride) - 1) * self.stride + self.kernel - side, 0)
