"""The learning rate and the momentum of every step, as functions of how far the run is."""

import math

from .recipe import Recipe


def learning_rate(
    recipe: Recipe, *, progress: float, batch_index: int, per_epoch: int, is_bias: bool = False
) -> float:
    """What the update after this batch is multiplied by.

    Args:
        recipe: its optimiser and schedule.
        progress: epochs so far, with their fraction.
        batch_index: batches so far.
        per_epoch: batches in an epoch.
        is_bias: some recipes warm biases up from above.

    Sources: darknet's policies, with its burn-in; Scaled-YOLOv4's cosine, an epoch a step, to a
    share of the start; EfficientDet's cosine.
    """
    schedule, base = recipe.schedule, recipe.optimiser.learning_rate
    warmup = recipe.warmup_batches(per_epoch)
    rate = base * decay(recipe, progress)
    if batch_index >= warmup:
        return rate
    share: float = (batch_index / warmup) ** schedule.warmup_power
    start = schedule.warmup_start * base
    if is_bias and schedule.warmup_bias is not None:
        start = schedule.warmup_bias
    return start + (rate - start) * share


def decay(recipe: Recipe, progress: float) -> float:
    """The share of the learning rate that is left after so many epochs, without the warm-up."""
    schedule = recipe.schedule
    if schedule.by_epoch:
        progress = math.floor(progress)
    share = min(1.0, progress / recipe.epochs)
    if schedule.kind == "cosine":
        share = _in_cycle(share, schedule.cycles, schedule.cycle_growth)
        return schedule.final + (1 - schedule.final) * (1 + math.cos(math.pi * share)) / 2
    if schedule.kind == "steps":
        return schedule.step_factor ** sum(share >= step for step in schedule.steps)
    if schedule.kind == "poly":
        return schedule.final + (1 - schedule.final) * float((1 - share) ** schedule.power)
    return 1.0


def momentum(recipe: Recipe, *, batch_index: int, per_epoch: int) -> float:
    """The momentum of the update after this batch."""
    start, full = recipe.schedule.warmup_momentum, recipe.optimiser.momentum
    warmup = recipe.warmup_batches(per_epoch)
    if start is None or batch_index >= warmup:
        return full
    return start + (full - start) * batch_index / warmup


def _in_cycle(share: float, cycles: int, growth: float) -> float:
    """How far into its cycle a run is; each cycle is `growth` times as long as the one before."""
    lengths = [growth**cycle for cycle in range(cycles)]
    position = share * sum(lengths)
    for length in lengths[:-1]:
        if position < length:
            return position / length
        position -= length
    return min(1.0, position / lengths[-1])
