"""Parts that losses share: matching, cross-entropy, focal and Huber loss, hard negatives.

Papers: focal loss, https://arxiv.org/abs/1708.02002; online hard-example mining,
https://arxiv.org/abs/1604.03540.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from ..boxes import complete_iou, distance_iou, generalized_iou, iou
from ..errors import InvalidValue
from ..specs.level import Level

# Overlaps computed at a time; each takes about 32 bytes while it is.
CHUNK = 1 << 21
SMALL = 1e-30  # a union that keeps 0 / 0 from being computed


Value = TypeVar("Value")


# Every similarity of boxes, 1 where they are equal: similarity(predicted, target) → (…).
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


def per_level(setting: str, value: Value | tuple[Value, ...], levels: int) -> tuple[Value, ...]:
    """One value a level, where one for all or one a level was given.

    Raises:
        InvalidValue: neither one nor as many as there are levels.
    """
    if not isinstance(value, tuple):
        return (value,) * levels
    if len(value) != levels:
        raise InvalidValue(setting, value, f"one value, or {levels}, one a level, finest first")
    return value


def check_coding(loss: str, levels: Sequence[Level], codings: tuple[str, ...]) -> None:
    """Refuse a loss for levels whose boxes it cannot read.

    Raises:
        InvalidValue: there is no level, or one has another box coding.
    """
    found = {level.box_coding for level in levels}
    if not found or not found <= set(codings):
        raise InvalidValue(
            f"box_coding for the loss {loss!r}", sorted(found), f"each one of {', '.join(codings)}"
        )


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


@dataclass(frozen=True, eq=False)
class Matches:
    """The best of all objects for every box, and the best of all boxes for every object."""

    overlap: Tensor  # (N, P) best IoU; 0 where nothing overlaps
    truth: Tensor  # (N, P) whose it is, the first of equals; T where nothing overlaps
    box: Tensor  # (T,) the box that an object overlaps most, the first of equals
    box_overlap: Tensor  # (T,) by how much


@torch.no_grad()
def best_overlaps(boxes: Tensor, objects: Tensor, image: Tensor) -> Tensor:
    """How much the boxes of each image overlap its objects, at most.

    Args:
        boxes: (N, P, 4) xyxy.
        objects: (T, 4) xyxy in the same unit.
        image: (T,) the image of each.

    Returns:
        (N, P) IoU; 0 where nothing overlaps.
    """
    best = boxes.new_zeros(boxes.shape[:2])
    sides = [side.contiguous() for side in boxes.unbind(dim=-1)]
    step = max(1, CHUNK // max(1, boxes.shape[1]))
    for start in range(0, len(objects), step):
        part = image[start : start + step]
        overlap = _overlaps([side[part] for side in sides], objects[start : start + step])
        best.scatter_reduce_(0, part[:, None].expand_as(overlap), overlap, "amax")
    return best


@torch.no_grad()
def match_boxes(boxes: Tensor, objects: Tensor, image: Tensor, *, images: int) -> Matches:
    """Match boxes that are the same in every image, anchors, with the objects of each.

    Args:
        boxes: (P, 4) xyxy.
        objects: (T, 4) xyxy in the same unit; one without area overlaps nothing.
        image: (T,) the image of each.
        images: N.
    """
    count = len(objects)
    best = boxes.new_zeros(images, len(boxes))
    truth = torch.full((images, len(boxes)), count, device=boxes.device)
    sides = [side.contiguous() for side in boxes.unbind(dim=-1)]
    places, overlaps = [truth.new_zeros(0)], [best.new_zeros(0)]
    step = max(1, CHUNK // max(1, len(boxes)))
    for start in range(0, count, step):
        part = image[start : start + step]
        overlap = _overlaps(sides, objects[start : start + step])
        index = part[:, None].expand_as(overlap)
        better = best.scatter_reduce(0, index, overlap, "amax")
        number = torch.arange(start, start + len(part), device=boxes.device)[:, None]
        holder = torch.where(overlap == better[part], number, count)
        first = torch.full_like(truth, count).scatter_reduce_(0, index, holder, "amin")
        truth = torch.where(better > best, first, truth)
        best = better
        most, place = overlap.max(dim=1)
        places.append(place)
        overlaps.append(most)
    return Matches(best, truth, torch.cat(places), torch.cat(overlaps))


def _overlaps(sides: Sequence[Tensor], objects: Tensor) -> Tensor:
    """IoU of objects with boxes, for millions of pairs: few passes, and in place.

    Args:
        sides: left, top, right and bottom of the boxes, (P,) or (T, P) each.
        objects: (T, 4) xyxy.

    Returns:
        (T, P).
    """
    left, top, right, bottom = sides
    from_left, from_top, to_right, to_bottom = objects[:, :, None].unbind(dim=1)
    width = torch.minimum(right, to_right).sub_(torch.maximum(left, from_left)).clamp_(min=0)
    height = torch.minimum(bottom, to_bottom).sub_(torch.maximum(top, from_top)).clamp_(min=0)
    overlap = width.mul_(height)
    own = (to_right - from_left).clamp(min=0) * (to_bottom - from_top).clamp(min=0)
    union = ((right - left) * (bottom - top) + own).sub_(overlap).clamp_(min=SMALL)
    return overlap.div_(union)
