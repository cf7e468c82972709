"""Focal loss on background, for millions of logits: value and slope in one pass.

Paper: focal loss, https://arxiv.org/abs/1708.02002.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def background_focal(logits: Tensor, *, alpha: float, gamma: float, target: float = 0.0) -> Tensor:
    """Focal loss where a class should be 0.

    Args:
        logits: of any shape.
        alpha: weight of what should be 1; this has the rest.
        gamma: how fast the weight falls as the probability becomes right.
        target: what label smoothing makes of 0.

    Returns:
        (1 − α) · σ^γ · cross-entropy, in the shape of `logits`. Autograd on its own would keep four
        times as much until the backward pass.
    """
    found: Tensor = _BackgroundFocal.apply(logits, alpha, gamma, target)
    return found


class _BackgroundFocal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, alpha: float, gamma: float, target: float) -> Tensor:
        log_sigma = F.logsigmoid(logits)
        sigma = log_sigma.exp()
        # −log(1 − σ) = t − log σ(t); the loss of rounding at −20 meets a weight of nearly 0
        entropy = torch.sub(logits, log_sigma)
        if target:
            entropy.sub_(logits, alpha=target)
        weight = log_sigma.mul_(gamma).exp_().mul_(1 - alpha)
        if ctx.needs_input_grad[0]:
            slope = torch.rsub(sigma, 1).mul_(entropy).mul_(gamma).add_(sigma).sub_(target)
            ctx.save_for_backward(slope.mul_(weight))
        return weight.mul_(entropy)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (slope,) = ctx.saved_tensors
        return slope * gradient, None, None, None
