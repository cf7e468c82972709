"""Parts of losses: cross-entropy, focal and Huber loss, similarity of boxes, hard negatives.

Papers: focal loss, https://arxiv.org/abs/1708.02002; online hard-example mining,
https://arxiv.org/abs/1604.03540.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from ..boxes import complete_iou, distance_iou, generalized_iou, iou

# Every similarity of boxes, 1 where they are equal: alike(predicted, target) → (…).
SIMILARITIES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "iou": iou,
    "giou": generalized_iou,
    "diou": partial(distance_iou, beta=1.0),
    "ciou": complete_iou,
}


def identity(tensor: Tensor) -> Tensor:
    """All-reduce of a single process: the identity."""
    return tensor


def at_least_float32(raw: Tensor) -> Tensor:
    """Half-precision predictions in float32; double stays, for checks of gradients."""
    return raw if raw.dtype == torch.float64 else raw.float()


def smooth(targets: Tensor, epsilon: float) -> Tensor:
    """Class label smoothing: 1 becomes 1 − ε/2, 0 becomes ε/2."""
    return targets * (1 - epsilon) + epsilon / 2


def cross_entropy(logits: Tensor, targets: Tensor, *, positive_weight: float = 1.0) -> Tensor:
    """Binary cross-entropy of each logit, with more or less weight on what should be 1."""
    negative = F.softplus(logits)  # −log(1 − σ)
    positive = negative - logits  # −log σ
    return positive_weight * targets * positive + (1 - targets) * negative


def focal_weight(logits: Tensor, targets: Tensor, *, alpha: float, gamma: float) -> Tensor:
    """How much focal loss makes of each logit's cross-entropy: little where it is right already.

    Args:
        logits: of any shape.
        targets: from 0 to 1, before any smoothing.
        alpha: weight of what should be 1; what should be 0 has the rest.
        gamma: how fast the weight falls as the probability becomes right.
    """
    probability = logits.sigmoid()
    right = targets * probability + (1 - targets) * (1 - probability)
    side = targets * alpha + (1 - targets) * (1 - alpha)
    return side * (1 - right).clamp(min=1e-9) ** gamma  # at 0 the slope of a root is infinite


def huber(errors: Tensor, delta: float) -> Tensor:
    """Half the square up to `delta`, from there on a line of slope `delta`; it may be infinite."""
    if delta == float("inf"):
        return errors.square() / 2
    size = errors.abs()
    near = size.clamp(max=delta)
    return near * near / 2 + delta * (size - near)


@torch.no_grad()
def hardest(losses: Tensor, positive: Tensor, *, share: float) -> Tensor:
    """Mark the negatives that are most wrong: online hard-negative mining.

    Args:
        losses: (N, P), 0 or above.
        positive: (N, P), 1 for what is no negative.
        share: negatives to keep per positive. An image without any keeps as many as one positive
            has.

    Returns:
        (N, P): 1 for every positive and for the negatives kept, 0 for the rest.
    """
    positive = positive > 0
    wanted = positive.sum(1, keepdim=True).clamp(min=1) * share
    order = losses.masked_fill(positive, -1).argsort(dim=1, descending=True, stable=True)
    places = torch.arange(losses.shape[1], device=losses.device).expand_as(order)
    rank = torch.empty_like(order).scatter_(1, order, places)
    return (positive | (rank < wanted)).to(losses.dtype)


@torch.no_grad()
def mean_over_processes(
    counts: Tensor, all_reduce: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Means of counts over the processes, to divide the loss by.

    The mean of the gradients, which distributed training takes, then is that of the joint batch.

    Args:
        counts: (C,) of this process.
        all_reduce: sums a tensor over the processes.

    Returns:
        (C,) counts as means over the processes; how many processes there are.
    """
    summed = all_reduce(torch.cat([counts.float(), counts.new_ones(1, dtype=torch.float32)]))
    return summed[:-1] / summed[-1], summed[-1]
