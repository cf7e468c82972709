"""Tensor names of EfficientDets in the `effdet` package.

Source: https://github.com/rwightman/efficientdet-pytorch, effdet 0.4 (Apache-2.0).
"""

from collections.abc import Iterator

from torch import nn

from ..blocks import MbConv, SharedSeparable
from ..detector import Detector
from ..errors import InvalidSpec
from ..heads.efficientdet import EfficientDetHead, SharedNet
from ..necks.pyramid import Cell, Pyramid
from ..specs import ModelSpec

FUSIONS = ("fast", "softmax", "sum")  # that effdet has, by our names
_TENSORS = {"weights": "edge_weights"}  # called otherwise there


def effdet_layout(
    network: Detector, spec: ModelSpec, *, norms_by_level: bool = False
) -> dict[str, str]:
    """Map effdet's tensor names to ours, in the order of effdet's state dict.

    Args:
        network: built from `spec`; its norms must not be folded.
        spec: of an EfficientDet.
        norms_by_level: name the norms of the heads level first, as effdet does where
            `head_bn_level_first` is set.

    Raises:
        InvalidSpec: effdet has no such network, or its norms were folded.
    """
    neck, head = network.neck, network.head
    if (
        not isinstance(neck, Pyramid)
        or not isinstance(head, EfficientDetHead)
        or (spec.neck.kind, spec.backbone.kind) != ("bifpn", "staged")
        or (spec.neck.fusion or "fast") not in FUSIONS
        or spec.neck.outputs is not None
        or {stage.kind for stage in spec.backbone.stages} != {"mbconv"}
    ):
        raise InvalidSpec(
            spec.name,
            "effdet's files hold EfficientDets only: EfficientNet, BiFPN and their head",
            "Write .safetensors",
        )
    names = {
        f"{theirs}.{_TENSORS.get(tensor, tensor)}": f"{ours}.{tensor}"
        for theirs, ours in _modules(network, neck, head, norms_by_level=norms_by_level)
        for tensor in network.get_submodule(ours).state_dict()
    }
    if set(names.values()) != set(network.state_dict()):
        raise InvalidSpec(spec.name, "its norms were folded", "Write the file before fuse_norms")
    return names


def _modules(
    network: Detector, neck: Pyramid, head: EfficientDetHead, *, norms_by_level: bool
) -> Iterator[tuple[str, str]]:
    """(effdet's name, our name) of every module with tensors of its own."""
    yield "backbone.conv_stem", "backbone.stem.conv"
    yield "backbone.bn1", "backbone.stem.norm"
    for name, block in network.backbone.named_modules():
        if isinstance(block, MbConv):
            yield from _block(f"backbone.{name}", block)
    finest = len(neck.channels) - len(neck.extra)  # of the levels that are added
    for level, extra in enumerate(neck.extra):
        yield from _resample(f"fpn.resample.{finest + level}", f"neck.extra.{level}", extra)
    for name, cell in neck.named_modules():
        if isinstance(cell, Cell):
            yield from _cell(f"neck.{name}", cell)
    yield from _head("class_net", "head.classes", head.classes, norms_by_level)
    yield from _head("box_net", "head.boxes", head.boxes, norms_by_level)


def _block(ours: str, block: MbConv) -> Iterator[tuple[str, str]]:
    """Names of an MBConv block; effdet's depend on whether it expands."""
    _, _, stage, _, number = ours.split(".")
    theirs = f"backbone.blocks.{stage}.{number}"
    convolutions = {"depthwise": "conv_dw", "project": "conv_pw"}
    if not isinstance(block.expand, nn.Identity):
        convolutions = {"expand": "conv_pw", "depthwise": "conv_dw", "project": "conv_pwl"}
    for norm, (part, convolution) in enumerate(convolutions.items(), start=1):
        if part == "project" and not isinstance(block.excite, nn.Identity):
            yield f"{theirs}.se.conv_reduce", f"{ours}.excite.reduce"
            yield f"{theirs}.se.conv_expand", f"{ours}.excite.expand"
        yield f"{theirs}.{convolution}", f"{ours}.{part}.conv"
        yield f"{theirs}.bn{norm}", f"{ours}.{part}.norm"


def _resample(theirs: str, ours: str, resample: nn.Module) -> Iterator[tuple[str, str]]:
    if resample.state_dict():  # it has tensors only where the width changes
        yield f"{theirs}.conv.conv", f"{ours}.conv.conv"
        yield f"{theirs}.conv.bn", f"{ours}.conv.norm"


def _cell(ours: str, cell: Cell) -> Iterator[tuple[str, str]]:
    number = ours.rpartition(".")[2]
    for index, inputs in enumerate(cell.inputs):
        node, fused = f"{ours}.nodes.{index}", f"fpn.cell.{number}.fnode.{index}"
        yield f"{fused}.combine", f"{node}.fusion"
        for place, source in enumerate(inputs):
            resample = cell.get_submodule(f"nodes.{index}.resample.{place}")
            theirs = f"{fused}.combine.resample.{source}"
            yield from _resample(theirs, f"{node}.resample.{place}", resample)
        yield f"{fused}.after_combine.conv.conv_dw", f"{node}.conv.conv.depthwise"
        yield f"{fused}.after_combine.conv.conv_pw", f"{node}.conv.conv.pointwise"
        yield f"{fused}.after_combine.conv.bn", f"{node}.conv.norm"


def _head(
    theirs: str, ours: str, net: SharedNet, norms_by_level: bool
) -> Iterator[tuple[str, str]]:
    """Names of a head: convolutions, norms, then the prediction."""
    depth = len(net.hidden)
    for step in range(depth):
        yield f"{theirs}.conv_rep.{step}.conv_dw", f"{ours}.hidden.{step}.depthwise"
        yield f"{theirs}.conv_rep.{step}.conv_pw", f"{ours}.hidden.{step}.pointwise.0"
    levels = max(len(step.norms) for step in net.hidden if isinstance(step, SharedSeparable))
    norms = [(step, level) for step in range(depth) for level in range(levels)]
    if norms_by_level:
        for step, level in sorted(norms, key=lambda place: place[1]):
            yield f"{theirs}.bn_rep.{level}.{step}", f"{ours}.hidden.{step}.norms.{level}"
    else:
        for step, level in norms:
            yield f"{theirs}.bn_rep.{step}.{level}.bn", f"{ours}.hidden.{step}.norms.{level}"
    yield f"{theirs}.predict.conv_dw", f"{ours}.predict.depthwise"
    yield f"{theirs}.predict.conv_pw", f"{ours}.predict.pointwise"
