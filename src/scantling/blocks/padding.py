"""Padding as TensorFlow's "SAME" has it: the odd pixel goes to the right and the bottom.

Source: https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2.
"""

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
        return F.pad(x, self.edges(x.shape[-2], x.shape[-1]), value=self.value)

    def edges(self, height: int, width: int) -> tuple[int, int, int, int]:
        """New pixels left, right, above and below of a map of so many rows and columns."""
        vertical, horizontal = self._missing(height), self._missing(width)
        before = (horizontal // 2, vertical // 2)
        return before[0], horizontal - before[0], before[1], vertical - before[1]

    def _missing(self, side: int) -> int:
        """Pixels that `side` lacks."""
        cells = (side + self.stride - 1) // self.stride
        return max((cells - 1) * self.stride + self.kernel - side, 0)
