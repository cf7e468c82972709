"""Kind of layer and receptive field of each torch operation."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .receptive_field import ReceptiveField

KINDS = {
    **dict.fromkeys(("convolution",), "convolution"),
    **dict.fromkeys(("mm", "addmm", "bmm", "baddbmm"), "product"),
    **dict.fromkeys(("native_batch_norm", "native_layer_norm", "native_group_norm"), "norm"),
    **dict.fromkeys(("add", "sub"), "add"),
    **dict.fromkeys(("mul", "div"), "multiply"),
    **dict.fromkeys(("cat", "stack"), "concat"),
    **dict.fromkeys(("constant_pad_nd",), "pad"),
    **dict.fromkeys(("clone", "copy", "_to_copy", "contiguous"), "copy"),
    **dict.fromkeys(
        ("max_pool2d_with_indices", "avg_pool2d", "_adaptive_avg_pool2d", "mean", "amax"), "pool"
    ),
    **dict.fromkeys(
        (
            *("mish", "leaky_relu", "silu", "relu", "sigmoid", "tanh", "elu", "gelu"),
            *("hardtanh", "hardswish", "hardsigmoid", "clamp", "clamp_min", "_softmax"),
            "_safe_softmax",
        ),
        "activation",
    ),
}
# What makes values of nothing but a shape.
FACTORIES = frozenset(
    f"{prefix}{what}{suffix}"
    for prefix, suffix in (("", ""), ("new_", ""), ("", "_like"))
    for what in ("empty", "zeros", "ones", "full")
) | {"arange", "scalar_tensor", "empty_strided", "new_empty_strided"}


def operation_name(function: Any) -> str:
    """Torch's name of an operation, without overload and in-place underscore."""
    name: str = function._schema.name.partition("::")[2]
    return name.removesuffix("_") if name.endswith("_") else name


def kind_of(name: str, weight: Tensor | None, groups: int) -> str:
    """Kind of layer of an operation, as in `LayerCost`."""
    if name == "convolution" and weight is not None and groups > 1:
        return "depthwise" if weight.shape[1] == 1 else "grouped"
    if name.startswith("upsample_"):
        return "resize"
    if "attention" in name:
        return "product"
    return KINDS.get(name, "other")


def window_of(
    name: str, args: Sequence[Any]
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]] | None:
    """Size, stride and padding of the window that slides over the input, each (vertical,
    horizontal); None for what is no convolution or pool. Dilation counts in the size.
    """
    if name == "convolution":
        kernel, stride, padding, dilation = args[1].shape[2:], args[3], args[4], args[5]
    elif name in ("max_pool2d_with_indices", "avg_pool2d"):
        kernel = args[1]
        stride = args[2] if len(args) > 2 and args[2] else kernel
        padding = args[3] if len(args) > 3 else (0, 0)
        dilation = args[4] if name.startswith("max") and len(args) > 4 else (1, 1)
    else:
        return None
    size = tuple((k - 1) * d + 1 for k, d in zip(_pair(kernel), _pair(dilation), strict=True))
    return (size[0], size[1]), _pair(stride), _pair(padding)


def receptive_field_of(
    name: str, args: Sequence[Any], fields: Sequence[ReceptiveField], out: Tensor
) -> ReceptiveField:
    """Receptive field of an operation's output.

    Args:
        name: of the operation.
        args: that it was given; the first is the map, where there is one.
        fields: of the maps among them.
        out: what it made.
    """
    field = fields[0]
    for other in fields[1:]:
        field = field.joined(other)
    x = args[0] if args and isinstance(args[0], Tensor) else None
    if x is None or x.ndim != 4:
        return field
    window = window_of(name, args)
    if window is not None:
        if name == "convolution" and args[6]:  # transposed: not traced
            return ReceptiveField(None, None, field.everywhere)
        size, stride, padding = window
        return field.windows(size, stride=stride, before=padding)
    if name in ("bmm", "_softmax") or "attention" in name:
        return ReceptiveField(field.vertical, field.horizontal, everywhere=True)
    if name in ("mean", "_adaptive_avg_pool2d"):
        gone = tuple(out.shape[2:]) == (1, 1) or out.ndim < 4
        return field.pooled() if gone and tuple(x.shape[2:]) != (1, 1) else field
    if name.startswith("upsample_"):
        return field.repeated(*(max(1, round(out.shape[d] / x.shape[d])) for d in (2, 3)))
    if name == "constant_pad_nd":
        left, top = args[1][0], args[1][2] if len(args[1]) > 2 else 0
        return field.windows((1, 1), stride=(1, 1), before=(top, left))
    if name == "slice" and len(args) > 1 and args[1] in (2, 3):
        return _sliced(field, args)
    return field


def field_after_reshape(
    field: ReceptiveField, before: Sequence[int], after: Sequence[int]
) -> ReceptiveField:
    """Receptive field after a reshape that moves cells into channels (space to depth).

    Args:
        before, after: shapes (N, C, H, W) of the map, with any other shapes in between.
    """
    if len(after) != 4 or len(before) != 4 or before[0] != after[0]:
        return field
    rows, columns = before[2] // max(1, after[2]), before[3] // max(1, after[3])
    moved = rows * columns > 1 and after[1] == before[1] * rows * columns
    if not moved or (after[2] * rows, after[3] * columns) != (before[2], before[3]):
        return field
    return field.windows((rows, columns), stride=(rows, columns), before=(0, 0))


def _sliced(field: ReceptiveField, args: Sequence[Any]) -> ReceptiveField:
    axis = args[1] - 2
    start = args[2] if len(args) > 2 and args[2] else 0
    step = args[4] if len(args) > 4 else 1
    stride, before = [1, 1], [0, 0]
    stride[axis], before[axis] = step, -start
    return field.windows((1, 1), stride=(stride[0], stride[1]), before=(before[0], before[1]))


def _pair(values: int | Sequence[int] | torch.Size) -> tuple[int, int]:
    if isinstance(values, int):
        return values, values
    return int(values[0]), int(values[-1])
