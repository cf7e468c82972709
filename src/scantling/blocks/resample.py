"""Bring a feature map to another level of a pyramid, and to another width."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from .conv import ConvNormAct
from .padding import SamePad


class Resample(nn.Module):
    """A 1×1 with normalisation where the width differs, then max-pooling or nearest upsampling.

    Shape: (N, in_channels, H, W) → (N, channels, height, width).

    Args:
        in_channels: width of what comes in.
        channels: width of what goes out.
        halvings: how often to max-pool, 3×3 with stride 2; 0 or less to upsample or keep the size.
        bias: of the 1×1, redundant beside its normalisation.
        same_padding: pad the pooling as TensorFlow does, the odd pixel right and below.
    """

    def __init__(
        self, in_channels: int, channels: int, *, halvings: int, bias: bool, same_padding: bool
    ) -> None:
        super().__init__()
        self.conv: nn.Module = nn.Identity()
        if in_channels != channels:
            self.conv = ConvNormAct(in_channels, channels, bias=bias, activation="linear")
        pools: list[nn.Module] = []
        for _ in range(halvings):
            if same_padding:
                pools += [SamePad(3, 2, value=float("-inf")), nn.MaxPool2d(3, 2)]
            else:
                pools.append(nn.MaxPool2d(3, 2, padding=1))
        self.pool = nn.Sequential(*pools)

    def forward(self, x: Tensor, size: Sequence[int] | None = None) -> Tensor:
        """Resample `x`, up to `size` (height, width) where it is given."""
        x = self.pool(self.conv(x))
        if size is None or tuple(x.shape[-2:]) == tuple(size):
            return x
        return F.interpolate(x, size=tuple(size), mode="nearest")
