"""Tensor names of our networks in Scaled-YOLOv4's PyTorch checkpoints.

Those networks are a numbered list of layers: backbone, neck, the hidden convolution of each head,
then one layer that predicts. Two things differ from ours. A backbone's CSP block has one
normalisation for both of its branches, which is exactly two, one for each half of the channels. And
the pyramid pooling concatenates its input first, the widest window last: the reverse of ours.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor

from ..specs import ModelSpec

NORM_TENSORS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class TensorSource:
    """The checkpoint tensor that one of our tensors is taken from, and how."""

    target: str
    source: str
    take: Callable[[Tensor], Tensor]
    parts: int = 1  # the source holds so many times the elements


def scaled_yolov4_layout(spec: ModelSpec) -> list[TensorSource]:
    """List the source of every tensor in a Scaled-YOLOv4 checkpoint.

    Args:
        spec: with a `csp-pan` neck whose norms are joint.
    """
    layers = count()
    places = [*_conv(f"model.{next(layers)}", "backbone.stem")]
    for index, stage in enumerate(spec.backbone.stages):
        target = f"backbone.stages.{index}"
        places += _conv(f"model.{next(layers)}", f"{target}.down")
        block = _csp if stage.kind == "csp" else _residual
        places += block(f"model.{next(layers)}", target, stage.depth)
    places += _pyramid_pool(f"model.{next(layers)}", "neck.top")

    levels = len(spec.neck.channels)
    for step in range(levels - 1):
        reduce, _upsample, lateral, _concat, fuse = (next(layers) for _ in range(5))
        target = f"neck.top_down.{step}"
        places += _conv(f"model.{reduce}", f"{target}.reduce")
        places += _conv(f"model.{lateral}", f"{target}.lateral")
        places += _reversed_csp(f"model.{fuse}", f"{target}.fuse", spec.neck.depth)
    places += _conv(f"model.{next(layers)}", "head.hidden.0")
    for step in range(levels - 1):
        down, _concat, fuse, hidden = (next(layers) for _ in range(4))
        target = f"neck.bottom_up.{step}"
        places += _conv(f"model.{down}", f"{target}.down")
        places += _reversed_csp(f"model.{fuse}", f"{target}.fuse", spec.neck.depth)
        places += _conv(f"model.{hidden}", f"head.hidden.{step + 1}")

    detect = next(layers)
    for level in range(levels):
        for name in ("weight", "bias"):
            source = f"model.{detect}.m.{level}.{name}"
            places.append(TensorSource(f"head.predict.{level}.{name}", source, _whole))
    return places


def detect_layer(spec: ModelSpec) -> int:
    """Index of the detection layer, the last one."""
    levels = len(spec.neck.channels)
    return 1 + 2 * len(spec.backbone.stages) + 1 + 5 * (levels - 1) + 1 + 4 * (levels - 1)


def _conv(source: str, target: str) -> Iterator[TensorSource]:
    yield TensorSource(f"{target}.conv.weight", f"{source}.conv.weight", _whole)
    yield from _norm(f"{source}.bn", f"{target}.norm", _whole)


def _norm(
    source: str, target: str, take: Callable[[Tensor], Tensor], parts: int = 1
) -> Iterator[TensorSource]:
    for name in NORM_TENSORS:
        scalar = name == "num_batches_tracked"
        how, times = (_whole, 1) if scalar else (take, parts)
        yield TensorSource(f"{target}.{name}", f"{source}.{name}", how, times)


def _residual(source: str, target: str, depth: int) -> Iterator[TensorSource]:
    """Sources of a plain residual stage, which has a single block."""
    for block in range(depth):
        inner = source if depth == 1 else f"{source}.{block}"
        yield from _conv(f"{inner}.cv1", f"{target}.blocks.{block}.reduce")
        yield from _conv(f"{inner}.cv2", f"{target}.blocks.{block}.expand")


def _csp(source: str, target: str, depth: int) -> Iterator[TensorSource]:
    yield TensorSource(f"{target}.bypass.conv.weight", f"{source}.cv2.weight", _whole)
    yield from _norm(f"{source}.bn", f"{target}.bypass.norm", _second_half, 2)
    yield from _conv(f"{source}.cv1", f"{target}.enter")
    for block in range(depth):
        yield from _conv(f"{source}.m.{block}.cv1", f"{target}.blocks.{block}.reduce")
        yield from _conv(f"{source}.m.{block}.cv2", f"{target}.blocks.{block}.expand")
    yield TensorSource(f"{target}.leave.conv.weight", f"{source}.cv3.weight", _whole)
    yield from _norm(f"{source}.bn", f"{target}.leave.norm", _first_half, 2)
    yield from _conv(f"{source}.cv4", f"{target}.merge")


def _reversed_csp(source: str, target: str, depth: int) -> Iterator[TensorSource]:
    yield from _conv(f"{source}.cv1", f"{target}.enter")
    yield TensorSource(f"{target}.bypass.weight", f"{source}.cv2.weight", _whole)
    for block in range(depth):
        yield from _conv(f"{source}.m.{block}.cv1", f"{target}.blocks.{2 * block}")
        yield from _conv(f"{source}.m.{block}.cv2", f"{target}.blocks.{2 * block + 1}")
    yield from _norm(f"{source}.bn", f"{target}.join.joint.0", _whole)
    yield from _conv(f"{source}.cv3", f"{target}.join.merge")


def _pyramid_pool(source: str, target: str) -> Iterator[TensorSource]:
    yield TensorSource(f"{target}.bypass.weight", f"{source}.cv2.weight", _whole)
    for index, name in enumerate(("cv1", "cv3", "cv4")):
        yield from _conv(f"{source}.{name}", f"{target}.enter.{index}")
    weight, *norm = _conv(f"{source}.cv5", f"{target}.leave.0")
    yield TensorSource(weight.target, weight.source, _reverse_blocks)
    yield from norm
    yield from _conv(f"{source}.cv6", f"{target}.leave.1")
    yield from _norm(f"{source}.bn", f"{target}.join.joint.0", _whole)
    yield from _conv(f"{source}.cv7", f"{target}.join.merge")


def _whole(tensor: Tensor) -> Tensor:
    return tensor


def _first_half(tensor: Tensor) -> Tensor:
    return tensor[: tensor.shape[0] // 2]


def _second_half(tensor: Tensor) -> Tensor:
    return tensor[tensor.shape[0] // 2 :]


def _reverse_blocks(weight: Tensor) -> Tensor:
    """Reverse the four groups of input channels, one for each pooling window."""
    return torch.cat(weight.chunk(4, dim=1)[::-1], dim=1)
