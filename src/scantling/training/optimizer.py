"""Which weights are updated, with which decay: the groups of the optimiser."""

from collections.abc import Iterable

import torch
from torch import nn

from ..errors import InvalidValue, nearest_hint
from .recipe import OptimiserSettings, Recipe
from .schedule import learning_rate, momentum


def build_optimiser(network: nn.Module, settings: OptimiserSettings) -> torch.optim.Optimizer:
    """An optimiser with three groups: kernels, which decay; norms and others; biases.

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
        groups,
        lr=settings.learning_rate,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
    )


def split_parameters(
    network: nn.Module,
) -> tuple[list[nn.Parameter], list[nn.Parameter], list[nn.Parameter]]:
    """The parameters that learn: kernels of convolutions, others, biases."""
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
    optimiser: torch.optim.Optimizer,
    recipe: Recipe,
    *,
    progress: float,
    batch_index: int,
    per_epoch: int,
) -> float:
    """Set the learning rate and momentum of every group; the rate of the kernels is returned."""
    where = {"batch_index": batch_index, "per_epoch": per_epoch}
    speed = momentum(recipe, **where)
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(
            recipe, progress=progress, is_bias=group["name"] == "biases", **where
        )
        if "betas" in group:
            group["betas"] = (speed, group["betas"][1])
        else:
            group["momentum"] = speed
    rate: float = optimiser.param_groups[0]["lr"]
    return rate


def freeze(network: nn.Module, parts: Iterable[str]) -> list[str]:
    """Keep parts of a network as they are; what is frozen also keeps its statistics.

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
    """Training mode, but for normalisations whose weights are frozen: they keep their statistics.

    Learned statistics of frozen weights would drift away from them.
    """
    network.train()
    for module in network.modules():
        own = list(module.parameters(recurse=False))
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and own:
            module.train(any(parameter.requires_grad for parameter in own))
