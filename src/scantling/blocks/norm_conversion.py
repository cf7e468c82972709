"""The normalisations of a built network: exchange them, save what they remember.

And what a training loop tells the blocks of a network as it goes on.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..errors import InvalidValue, lookup
from .conv import ConvNormAct
from .norms import ROW, CrossIterationNorm, CrossMiniBatchNorm, FilterResponseNorm, SyncNorm
from .separable import ActSeparableNorm, SharedSeparable

# Every normalisation that takes the weights and statistics of `BatchNorm2d`; all but CBN, which
# also needs the convolution in front.
NORMS: dict[str, type[nn.BatchNorm2d]] = {
    "batch": nn.BatchNorm2d,
    "cross-mini": CrossMiniBatchNorm,
    "sync": SyncNorm,
}
# What may be exchanged. Other libraries' kinds do more than to normalise.
OWN = (nn.BatchNorm2d, CrossMiniBatchNorm, CrossIterationNorm, SyncNorm)


def set_norms(network: nn.Module, kind: str) -> None:
    """Exchange every batch normalisation of a network, in place; weights and statistics stay.

    Args:
        kind: `batch`, `sync`, `cross-mini` (CmBN) or `cross` (CBN). The last needs one convolution
            in front, and leaves those behind a concatenation as they are.

    Raises:
        UnknownName: there is no such kind.
        InvalidValue: the network has normalisations of another library, such as timm's, which also
            activate, and the kind is not `batch`.
    """
    foreign = {
        type(module).__name__
        for module in network.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and type(module) not in OWN
    }
    if foreign and kind != "batch":
        expected = f"batch: the network has {', '.join(sorted(foreign))}, which cannot be exchanged"
        raise InvalidValue("norm", kind, expected)
    if kind == "cross":
        for module in network.modules():
            if isinstance(module, (ConvNormAct, ActSeparableNorm)):
                conv = module.conv if isinstance(module, ConvNormAct) else module.conv.pointwise
                module.norm = _cross_iteration(module.norm, conv)
            elif isinstance(module, SharedSeparable):
                (shared,) = module.pointwise
                norms = (_cross_iteration(norm, shared) for norm in module.norms)
                module.norms = nn.ModuleList(norms)
        return
    made = lookup({**NORMS, "cross": CrossIterationNorm}, kind, "normalisation")
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, OWN) and type(child) in OWN and type(child) is not made:
                swapped = made(child.num_features, eps=child.eps, momentum=child.momentum)
                setattr(module, name, _as(swapped, child))


def use_filter_response(network: nn.Module) -> None:
    """Exchange every normalisation that follows a convolution, and its activation, for FRN."""
    for module in network.modules():
        if isinstance(module, ConvNormAct) and isinstance(module.norm, nn.BatchNorm2d):
            module.norm = FilterResponseNorm(module.norm.num_features)
            module.activation = nn.Identity()


def set_progress(network: nn.Module, progress: float) -> None:
    """Set the strength of everything that drops, 0 to 1, darknet's `[dropout]` layers too."""
    for module in network.modules():
        if isinstance(getattr(module, "progress", None), (int, float)):
            setattr(module, "progress", progress)  # noqa: B010 - the type of a module is not known


def begin_update(network: nn.Module) -> None:
    """Tell the normalisations that collect over one update that a new one begins."""
    for module in network.modules():
        if isinstance(module, CrossMiniBatchNorm):
            module.begin()


def read_past(network: nn.Module) -> dict[str, Tensor]:
    """What normalisations remember of earlier updates, beside their weights and statistics."""
    return {
        f"{name}.{row}.{place}": tensor
        for name, module in network.named_modules()
        if isinstance(module, CrossIterationNorm)
        for row, tensors in enumerate(module.past)
        for place, tensor in enumerate(tensors)
    }


def write_past(network: nn.Module, past: Mapping[str, Tensor]) -> None:
    """Make normalisations remember what `read_past` found, and nothing else."""
    for name, module in network.named_modules():
        if isinstance(module, CrossIterationNorm):
            module.past.clear()
            row = 0
            while f"{name}.{row}.0" in past:
                module.past.append(tuple(past[f"{name}.{row}.{place}"] for place in range(ROW)))
                row += 1


def _cross_iteration(norm: nn.Module, conv: nn.Module) -> nn.Module:
    kernel = conv.weight
    if not isinstance(norm, nn.BatchNorm2d) or not isinstance(kernel, nn.Parameter):
        return norm
    made = CrossIterationNorm(
        norm.num_features, kernel, eps=norm.eps, momentum=norm.momentum or 0.1
    )
    return _as(made, norm)


def _as(made: nn.BatchNorm2d, norm: nn.BatchNorm2d) -> nn.BatchNorm2d:
    """The new normalisation with the weights, statistics, device and mode of the old one."""
    with torch.no_grad():
        made.to(device=norm.weight.device)
        made.load_state_dict(norm.state_dict())
    return made.train(norm.training)
