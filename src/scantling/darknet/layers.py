"""The layers of darknet that are not a convolution. Each takes feature maps (N, C, H, W).

Semantics: https://github.com/AlexeyAB/darknet.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..blocks import ACTIVATIONS


class Activation(nn.Module):
    """An activation alone. Works on a copy, for others may read what it reads."""

    def __init__(self, activation: str) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[activation]()

    def forward(self, x: Tensor) -> Tensor:
        activated: Tensor = self.activation(x.clone())
        return activated


class Route(nn.Module):
    """Concatenate along the channels, of each source only one of `groups` equal slices."""

    def __init__(self, groups: int, group: int) -> None:
        super().__init__()
        self.groups = groups
        self.group = group

    def forward(self, *sources: Tensor) -> Tensor:
        if self.groups > 1:
            sources = tuple(source.chunk(self.groups, dim=1)[self.group] for source in sources)
        return sources[0] if len(sources) == 1 else torch.cat(sources, dim=1)


class Shortcut(nn.Module):
    """Add maps of one size; of a wider one its first channels, of a narrower one all it has."""

    def __init__(self, activation: str) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[activation]()

    def forward(self, previous: Tensor, *others: Tensor) -> Tensor:
        total = previous
        for other in others:
            total = total + _fit_channels(other, previous.shape[1])
        activated: Tensor = self.activation(total)
        return activated


class WeightedShortcut(nn.Module):
    """Add maps of one size, each with learned weights: a multi-input weighted residual connection.

    Args:
        inputs: how many maps.
        channels: weights per map: 1, or one per channel.
        normalization: `none`; `relu`: w⁺ / (10⁻⁴ + Σ w⁺); `softmax`: eʷ / (10⁻⁴ + Σ eʷ), the
            largest weight subtracted first.
        activation: of the sum.
    """

    def __init__(self, inputs: int, channels: int, *, normalization: str, activation: str) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(inputs, channels, 1, 1))
        self.normalization = normalization
        self.activation = ACTIVATIONS[activation]()

    def forward(self, *sources: Tensor) -> Tensor:
        weights = self._normalised()
        width = sources[0].shape[1]
        total = weights[0] * sources[0]
        for weight, source in zip(weights[1:], sources[1:], strict=True):
            # a narrower source is filled with zeros, so that each channel meets its own weight
            total = total + weight * _fit_channels(source, width)
        activated: Tensor = self.activation(total)
        return activated

    def _normalised(self) -> Tensor:
        if self.normalization == "none":
            return self.weight
        if self.normalization == "relu":
            positive = self.weight.relu()
        else:
            positive = (self.weight - self.weight.amax(dim=0)).exp()
        return positive / (1e-4 + positive.sum(dim=0))


class Multiply(nn.Module):
    """Features times a mask, broadcast: `[sam]` of the same shape, `[scale_channels]` of less."""

    def __init__(self, activation: str) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[activation]()

    def forward(self, mask: Tensor, features: Tensor) -> Tensor:
        activated: Tensor = self.activation(mask * features)
        return activated


class MaxPool(nn.Module):
    """The greatest value of each window, whatever lies outside the map not counting.

    Args:
        size: side of the window.
        stride: (vertical, horizontal).
        padding: in total per axis; the smaller half of it lies left and above.
    """

    def __init__(self, size: int, stride: tuple[int, int], padding: int) -> None:
        super().__init__()
        self.before = padding // 2
        self.after = padding - self.before
        even = self.before == self.after
        # at stride 2 one more cell at the end is what `ceil_mode` means
        self.pads = self.before > size // 2 or not (even or stride == (2, 2))
        own_padding = 0 if self.pads else self.before
        self.pool = nn.MaxPool2d(size, stride, own_padding, ceil_mode=not (even or self.pads))

    def forward(self, x: Tensor) -> Tensor:
        if self.pads:
            edges = (self.before, self.after, self.before, self.after)
            x = F.pad(x, edges, value=float("-inf"))
        pooled: Tensor = self.pool(x)
        return pooled


class LocalAveragePool(nn.Module):
    """The mean of each window over the values inside the map. Windows as in `MaxPool`."""

    def __init__(self, size: int, stride: tuple[int, int], padding: int) -> None:
        super().__init__()
        self.size = size
        self.stride = stride
        self.before = padding // 2
        self.after = padding - self.before

    def forward(self, x: Tensor) -> Tensor:
        inside = x.new_ones(1, 1, *x.shape[2:])
        return self._mean(x) / self._mean(inside)

    def _mean(self, x: Tensor) -> Tensor:
        x = F.pad(x, (self.before, self.after, self.before, self.after))
        return F.avg_pool2d(x, self.size, self.stride)


class ChannelMaxPool(nn.Module):
    """Channel c of the output is the greatest of channels c, c + out_channels, … of the input."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.out_channels = out_channels

    def forward(self, x: Tensor) -> Tensor:
        images, _, height, width = x.shape
        return x.reshape(images, -1, self.out_channels, height, width).amax(dim=1)


class Upsample(nn.Module):
    """Repeat each value `stride` times on both axes, and multiply by `scale`."""

    def __init__(self, stride: int, scale: float) -> None:
        super().__init__()
        self.stride = stride
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=float(self.stride), mode="nearest")
        return x if self.scale == 1 else x * self.scale


class SpaceToDepth(nn.Module):
    """`[reorg3d]`: output channel k is input channel k mod C at place k div C of each cell."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        images, channels, height, width = x.shape
        rows, columns = height // self.stride, width // self.stride
        cells = x.reshape(images, channels, rows, self.stride, columns, self.stride)
        return cells.permute(0, 3, 5, 1, 2, 4).reshape(images, -1, rows, columns)


class LegacyReorg(nn.Module):
    """`[reorg]` of YOLOv2: space to depth on the memory read as if it were (C / s², H · s, W · s).

    A mistake in the original that trained weights depend on.
    """

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        images, channels, height, width = x.shape
        s = self.stride
        misread = x.reshape(images, channels // (s * s), height, s, width, s)
        moved = misread.permute(0, 3, 5, 1, 2, 4)
        return moved.reshape(images, channels * s * s, height // s, width // s)


class DarknetDropBlock(nn.Module):
    """In training, blank one square of a channel now and then; else change nothing.

    A channel loses a square where the least of its random numbers falls below
    probability / size²; what is left of each image is scaled up to make good for what is gone.

    Args:
        probability: strength at full training.
        size: side of the square, in cells.
        relative: side of the square as a share of the map's width, used where `size` is 0.

    Attributes:
        progress: 0 to 1, multiplies strength and size; darknet raises it over the first 85 % of
            training.

    Paper: DropBlock, https://arxiv.org/abs/1810.12890.
    """

    def __init__(self, probability: float, *, size: int, relative: float) -> None:
        super().__init__()
        self.probability = probability
        self.size = size
        self.relative = relative
        self.progress = 1.0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        images, channels, height, width = x.shape
        wanted = (self.size or self.relative * width) * self.progress
        size = max(1, int(min(wanted, height, width)))
        least, place = torch.rand(images, channels, height * width, device=x.device).min(dim=2)
        hit = least < self.probability * self.progress / size**2
        top = (place // width).clamp(max=height - size)[:, :, None, None]
        left = (place % width).clamp(max=width - size)[:, :, None, None]
        row = torch.arange(height, device=x.device)[:, None]
        column = torch.arange(width, device=x.device)
        gone = (row >= top) & (row < top + size) & (column >= left) & (column < left + size)
        kept = (~(gone & hit[:, :, None, None])).to(x.dtype)
        share = kept.float().mean(dim=(1, 2, 3), keepdim=True).clamp(min=1e-6)
        return x * kept / share.to(x.dtype)


def _fit_channels(x: Tensor, channels: int) -> Tensor:
    """The first `channels` channels, zeros standing in for those that `x` does not have."""
    missing = channels - x.shape[1]
    if missing > 0:
        return F.pad(x, (0, 0, 0, 0, 0, missing))
    return x[:, :channels] if missing < 0 else x
