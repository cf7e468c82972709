"""The optimizer's parameter groups, and the learning rate and momentum of every update."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from ..errors import InvalidValue, nearest_hint
from .recipe import OptimizerSettings, Recipe


def build_optimizer(network: nn.Module, settings: OptimizerSettings) -> torch.optim.Optimizer:
    """An optimizer with three groups: kernels, which decay; norms and others; biases.

    Source: Scaled-YOLOv4; darknet decays kernels only, too.
    """
    kernels, others, biases = split_parameters(network)
    groups = [
        {"params": kernels, "weight_decay": settings.weight_decay, "name": "kernels"},
        {"params": others, "weight_decay": 0.0, "name": "others"},
        {"params": biases, "weight_decay": 0.0, "name": "biases"},
    ]
    if settings.kind == "adamw":
        return torch.optim.AdamW(
            groups, lr=settings.learning_rate, betas=(settings.momentum, 0.999)
        )
    return torch.optim.SGD(
        groups, lr=settings.learning_rate, momentum=settings.momentum, nesterov=settings.nesterov
    )


def split_parameters(
    network: nn.Module,
) -> tuple[list[nn.Parameter], list[nn.Parameter], list[nn.Parameter]]:
    """Split the trainable parameters into kernels of convolutions, others, biases."""
    kernels, others, biases = [], [], []
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        if name.rpartition(".")[2] == "bias":
            biases.append(parameter)
        elif parameter.ndim > 1:
            kernels.append(parameter)
        else:
            others.append(parameter)
    return kernels, others, biases


def set_rates(
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    *,
    progress: float,
    batch_index: int,
    per_epoch: int,
) -> float:
    """Set the learning rate and momentum of every group; returns the rate of the kernels."""
    where = {"batch_index": batch_index, "per_epoch": per_epoch}
    speed = momentum(recipe, **where)
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(
            recipe, progress=progress, is_bias=group["name"] == "biases", **where
        )
        if "betas" in group:
            group["betas"] = (speed, group["betas"][1])
        else:
            group["momentum"] = speed
    rate: float = optimizer.param_groups[0]["lr"]
    return rate


def freeze(network: nn.Module, parts: Iterable[str]) -> list[str]:
    """Freeze parts of a network: their weights, and the statistics of their normalisations.

    Args:
        parts: names of modules, such as `backbone` or `backbone.stages.0`; `layers.12` in a cfg.

    Returns:
        The names of the frozen parameters.

    Raises:
        InvalidValue: there is no such part, or nothing is left to learn.
    """
    parts, modules = tuple(parts), dict(network.named_modules())
    frozen = []
    for part in parts:
        if part not in modules or not part:
            hint = nearest_hint(part, modules)
            children = ", ".join(name for name, _ in network.named_children())
            raise InvalidValue("freeze", part, f"a part of the network: {children}, …{hint}")
        for name, parameter in modules[part].named_parameters():
            parameter.requires_grad_(False)
            frozen.append(f"{part}.{name}")
    if frozen and not any(parameter.requires_grad for parameter in network.parameters()):
        raise InvalidValue("freeze", parts, "fewer parts: nothing is left to learn")
    return frozen


def set_training(network: nn.Module) -> None:
    """Set training mode, but evaluation mode for normalisations whose weights are frozen.

    Learned statistics of frozen weights would drift away from them.
    """
    network.train()
    for module in network.modules():
        own = list(module.parameters(recurse=False))
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and own:
            module.train(any(parameter.requires_grad for parameter in own))


def learning_rate(
    recipe: Recipe, *, progress: float, batch_index: int, per_epoch: int, is_bias: bool = False
) -> float:
    """The learning rate of the update after this batch.

    Args:
        recipe: its optimizer and schedule.
        progress: epochs so far, with their fraction.
        batch_index: batches so far.
        per_epoch: batches in an epoch.
        is_bias: some recipes warm biases up from above.

    Sources: darknet's policies, with its burn-in; Scaled-YOLOv4's cosine, an epoch a step, to a
    share of the start; EfficientDet's cosine.
    """
    schedule, base = recipe.schedule, recipe.optimizer.learning_rate
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
    """The factor of the learning rate after so many epochs, without the warm-up."""
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
    start, full = recipe.schedule.warmup_momentum, recipe.optimizer.momentum
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
