"""What a number format costs a network: the model itself, rounded as a file of that format is.

So a limit follows from the model and not from a rule of thumb: deep networks lose more than shallow
ones, and one whose outputs hardly differ loses more of what little they say.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn

from ..specs.metadata import Precision

LEVELS = 255  # of 8 bits, less one
KEPT_BITS = 16  # of the mantissa: how far apart two libraries' fp32 may be after many layers


def rounded(network: nn.Module, precision: Precision) -> nn.Module:
    """A copy that computes about as well as a file of this precision does.

    fp32, fp16, bf16: weights and the output of every layer are rounded. int8: weights (one range
    for each output channel) and inputs (one range) of every convolution are rounded to 255 steps
    between the least and the greatest value: quantisation as it is at its simplest, with the best
    ranges that there are for the image at hand.
    """
    copy = deepcopy(network)
    for module in copy.modules():
        if isinstance(module, nn.Conv2d):
            with torch.no_grad():
                module.weight.copy_(_weights(module.weight, precision))
            if precision == "int8":
                module.register_forward_pre_hook(_round_input)
        if precision != "int8" and not any(True for _ in module.children()):
            module.register_forward_hook(
                lambda _module, _given, output: (
                    _round(output, precision) if isinstance(output, Tensor) else output
                )
            )
    return copy


def _weights(weights: Tensor, precision: Precision) -> Tensor:
    if precision != "int8":
        return _round(weights, precision)
    step = weights.abs().amax(dim=(1, 2, 3), keepdim=True).clamp_min(1e-12) * 2 / (LEVELS - 1)
    return (weights / step).round() * step


def _round(values: Tensor, precision: Precision) -> Tensor:
    if precision == "fp32":
        places = values.float().contiguous().view(torch.int32)
        low = 1 << (23 - KEPT_BITS)
        return ((places + low // 2) & -low).view(torch.float32)
    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    return values.to(dtype).to(values.dtype)


def _round_input(_module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    values = given[0]
    low, high = values.amin(), values.amax()
    step = ((high - low) / LEVELS).clamp_min(1e-12)
    return (low + ((values - low) / step).round() * step, *given[1:])
