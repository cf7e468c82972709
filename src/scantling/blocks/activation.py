"""Activation functions by name, and a Mish that compiles to one pass over memory.

With e = eˣ and n = e · (e + 2), Mish is x · n / (n + 2), and its slope is
n / (n + 2) + x · 4 e (1 + e) / (n + 2)². PyTorch's takes a softplus and a tanh, in both directions;
compiled, this one is three times as fast. It needs a C++ compiler at run time.

Paper: Mish, https://arxiv.org/abs/1908.08681.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

# Every activation: Activation() → module.
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "elu": partial(nn.ELU, inplace=True),
    "gelu": partial(nn.GELU, approximate="tanh"),
    "hardtan": partial(nn.Hardtanh, inplace=True),
    "leaky": partial(nn.LeakyReLU, 0.1, inplace=True),
    "linear": nn.Identity,
    "logistic": nn.Sigmoid,
    "mish": partial(nn.Mish, inplace=True),
    "relie": partial(nn.LeakyReLU, 0.01, inplace=True),
    "relu": partial(nn.ReLU, inplace=True),
    "relu6": partial(nn.ReLU6, inplace=True),
    "selu": partial(nn.SELU, inplace=True),
    "swish": partial(nn.SiLU, inplace=True),
    "tanh": nn.Tanh,
}

LARGEST = 20.0  # from here on Mish is x to the last bit of float32, and eˣ · eˣ stays finite

Pointwise = Callable[..., Tensor]


def mish(x: Tensor) -> Tensor:
    """x · tanh(softplus(x)), computed in float32 for half precision."""
    wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
    e = wide.clamp(max=LARGEST).exp()
    n = e * (e + 2)
    return (wide * (n / (n + 2))).to(x.dtype)


def mish_gradient(x: Tensor, gradient: Tensor) -> Tensor:
    """The gradient at x, from that at mish(x)."""
    wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
    e = wide.clamp(max=LARGEST).exp()
    n = e * (e + 2)
    slope = n / (n + 2) + wide * (4 * e * (1 + e)) / ((n + 2) * (n + 2))
    return (gradient.to(wide.dtype) * slope).to(x.dtype)


class FusibleMish(nn.Module):
    """Mish with one exponential, which a compiler fuses into what is around it.

    Shape: any → the same.
    """

    def forward(self, x: Tensor) -> Tensor:
        return mish(x)


class FastMish(nn.Module):
    """Mish compiled on its own, with a compiled backward pass.

    Shape: any → the same.
    """

    def forward(self, x: Tensor) -> Tensor:
        activated: Tensor = _Mish.apply(x)
        return activated


class _Mish(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return _over(x, _compiled(mish))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return _over(x, _compiled(mish_gradient), gradient)


def replace_mish(network: nn.Module, make: Callable[[], nn.Module]) -> int:
    """Replace every `nn.Mish` of a network, in place; how many there were."""
    found = [
        (module, name)
        for module in network.modules()
        for name, child in module.named_children()
        if isinstance(child, nn.Mish)
    ]
    for module, name in found:
        setattr(module, name, make())
    return len(found)


def use_fast_mish(network: nn.Module) -> int:
    """Replace every `nn.Mish` of a network by `FastMish`, in place.

    Returns:
        How many there were; 0 also where nothing can be compiled here.
    """
    has_mish = any(isinstance(module, nn.Mish) for module in network.modules())
    return replace_mish(network, FastMish) if has_mish and _can_compile() else 0


@cache
def _compiled(function: Pointwise) -> Pointwise:
    made: Pointwise = torch.compile(function, dynamic=True)
    return made


@cache
def _can_compile() -> bool:
    """Whether this machine has what compiling needs."""
    try:
        _compiled(mish)(torch.zeros(16))
    except Exception:  # whatever a missing or broken compiler raises
        return False
    return True


def _over(x: Tensor, function: Pointwise, *more: Tensor) -> Tensor:
    """A pointwise function over memory in its own order, so that one kernel serves every shape."""
    order = (0, 2, 3, 1) if x.ndim == 4 and not x.is_contiguous() else tuple(range(x.ndim))
    parts = [part.permute(order).contiguous() for part in (x, *more)]
    result = function(*(part.view(-1) for part in parts)).view(parts[0].shape)
    back = sorted(range(x.ndim), key=order.__getitem__)
    return result.permute(back)
