"""Normalisations beside plain batch normalisation, for small batches and many processes.

All but the filter response keep the weights and statistics of `BatchNorm2d` under its names: they
differ only in training, and a model that was trained with one is saved and run as with any other.

Papers: CBN, https://arxiv.org/abs/2002.05712; CmBN, YOLOv4, https://arxiv.org/abs/2004.10934,
section 3.3; FRN, https://arxiv.org/abs/1911.09737.
"""

from collections import deque
from typing import Any

import torch
from torch import Tensor, distributed as dist, nn
from torch.nn import functional as F

DIMS = (0, 2, 3)
ROW = 5  # tensors that CBN keeps of a batch


class CrossMiniBatchNorm(nn.BatchNorm2d):
    """CmBN: the statistics of all mini-batches of one update so far, not of one alone.

    Weights do not change within an update, so nothing has to be compensated. The first mini-batch
    is normalised exactly as `BatchNorm2d` does; gradients flow through the present one only.

    `begin()` has to be called before each update.
    """

    def __init__(self, channels: int, *, eps: float = 1e-5, momentum: float = 0.03) -> None:
        super().__init__(channels, eps=eps, momentum=momentum)
        self.begin()

    def begin(self) -> None:
        """Forget the mini-batches of the update before."""
        self._seen = 0
        self._mean: Tensor | None = None
        self._square: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        self._seen += 1
        mean, square = _moments(x)
        if self._mean is None or self._square is None:
            self._mean, self._square = mean.detach(), square.detach()
            return super().forward(x)
        mean = self._mean + (mean - self._mean) / self._seen
        square = self._square + (square - self._square) / self._seen
        self._mean, self._square = mean.detach(), square.detach()
        _track(self, x)
        return _normalise(x, mean, (square - mean.square()).clamp(min=0), self)


class CrossIterationNorm(nn.BatchNorm2d):
    """CBN: the statistics of the last updates too, corrected for how the weights have changed.

    Mean and mean square of earlier batches are carried over to the weights of today by their first
    derivatives with respect to the convolution in front (equations 5 to 8).

    Args:
        kernel: weights of the convolution in front.
        window: batches whose statistics count, the present one included.

    Attributes:
        past: of each batch before: mean, mean square, their derivatives, and the kernel then.
    """

    def __init__(
        self,
        channels: int,
        kernel: nn.Parameter,
        *,
        window: int = 4,
        eps: float = 1e-5,
        momentum: float = 0.03,
    ) -> None:
        super().__init__(channels, eps=eps, momentum=momentum)
        self.window = window
        self._kernel = (kernel,)  # in a tuple: it belongs to the convolution
        self.past: deque[tuple[Tensor, ...]] = deque(maxlen=window - 1)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.window == 1:
            return super().forward(x)
        kernel = self._kernel[0]
        mean, square = _moments(x)
        past = self._carried(kernel.detach())
        if x.requires_grad and kernel.requires_grad:
            self.past.append((mean.detach(), square.detach(), *_slopes(mean, square, kernel)))
        if not past:
            return super().forward(x)
        _track(self, x)
        means = torch.stack([mean, *(row[0] for row in past)])
        squares = torch.stack([square, *(row[1] for row in past)])
        mean = means.mean(0)
        # a mean square below the squared mean is an artefact of the correction
        square = torch.maximum(squares, means.square()).mean(0)
        return _normalise(x, mean, (square - mean.square()).clamp(min=0), self)

    def _carried(self, kernel: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Mean and mean square of each batch before, at the weights of today."""
        rows = []
        for mean, square, mean_slope, square_slope, before in self.past:
            moved = kernel - before
            rows.append(
                (
                    mean + (mean_slope * moved).sum(dim=(1, 2, 3)),
                    square + (square_slope * moved).sum(dim=(1, 2, 3)),
                )
            )
        return rows


class SyncNorm(nn.BatchNorm2d):
    """Batch normalisation over the batches of all processes, on any device."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not dist.is_available() or not dist.is_initialized():
            return super().forward(x)
        values = x.float()
        count = values.new_full((1,), values.numel() / values.shape[1])
        sums = torch.cat([values.sum(DIMS), values.square().sum(DIMS), count])
        sums = _SumOverProcesses.apply(sums)
        total = sums[-1]
        mean, square = (sums[:-1] / total).chunk(2)
        variance = (square - mean.square()).clamp(min=0)
        _follow(self, mean.detach(), variance.detach() * total / (total - 1).clamp(min=1))
        return _normalise(x, mean, variance, self)


class _SumOverProcesses(torch.autograd.Function):
    """A sum over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:  # noqa: ARG004 - nothing to remember
        summed = values.clone()
        dist.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ARG004
        summed = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(summed)
        return summed


class FilterResponseNorm(nn.Module):
    """Each channel of each image over its own root mean square; then at least a learned threshold.

    It knows no batch, and takes the place of the activation as well.

    Shape: (N, C, H, W) → the same.
    """

    def __init__(self, channels: int, *, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.threshold = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        square = x.float().square().mean(dim=(2, 3), keepdim=True)
        shape = (1, -1, 1, 1)
        scale = torch.rsqrt(square + self.eps) * self.weight.view(shape)
        y = x * scale.to(x.dtype) + self.bias.view(shape).to(x.dtype)
        return torch.maximum(y, self.threshold.view(shape).to(y.dtype))


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and mean square of each channel, in float32."""
    values = x.float()
    return values.mean(DIMS), values.square().mean(DIMS)


def _slopes(mean: Tensor, square: Tensor, kernel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Derivatives of the moments by the kernel, each channel by its own, and the kernel now."""
    # a channel's moments depend on its own kernel alone, so the sum over channels loses nothing
    (by_mean,) = torch.autograd.grad(mean.sum(), kernel, retain_graph=True)
    (by_square,) = torch.autograd.grad(square.sum(), kernel, retain_graph=True)
    return by_mean.detach(), by_square.detach(), kernel.detach().clone()


@torch.no_grad()
def _track(norm: nn.BatchNorm2d, x: Tensor) -> None:
    """Move the running statistics towards those of this batch, as `BatchNorm2d` does."""
    F.batch_norm(
        x, norm.running_mean, norm.running_var, training=True, momentum=norm.momentum or 0.0
    )
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked += 1


@torch.no_grad()
def _follow(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Move the running statistics towards these."""
    rate = norm.momentum or 0.0
    for running, now in ((norm.running_mean, mean), (norm.running_var, variance)):
        if running is not None:
            running.lerp_(now, rate)
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked += 1


def _normalise(x: Tensor, mean: Tensor, variance: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    scale = torch.rsqrt(variance + norm.eps) * norm.weight
    shift = norm.bias - mean * scale
    shape = (1, -1, 1, 1)
    return x * scale.view(shape).to(x.dtype) + shift.view(shape).to(x.dtype)
