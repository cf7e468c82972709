"""A network for other classes, which keeps what it knows of those that it shares."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..darknet import DarknetNetwork
from ..detector import Detector
from ..errors import InvalidSpec
from ..heads import EfficientDetHead, YoloHead
from ..specs import CfgSpec, ModelSpec
from ..specs.classes import ClassTable, match_classes
from .cfg_edit import detection_convolutions, edit_cfg
from .model import Model
from .networks import build_empty, build_network

BOX = 5  # values of a YOLO anchor in front of its classes: x, y, width, height, objectness


@dataclass(frozen=True)
class Predictor:
    """A convolution whose rows are classes, for each anchor in turn.

    Args:
        convolution: with anchors · (first + classes) rows.
        anchors: of a cell.
        first: rows of an anchor in front of its classes.
    """

    convolution: nn.Conv2d
    anchors: int
    first: int


@torch.no_grad()
def adapt_classes(model: Model, names: Sequence[str]) -> tuple[Model, ClassTable]:
    """A model for other classes, which still knows those that it shares with the given one.

    Everything is copied except the last convolutions, those of the classes where they are apart.
    Of those the boxes, the objectness and the classes of the same name are; the rows of new classes
    are fresh.

    Args:
        model: stays as it is; its network must not be fused.
        names: of all classes that the new model shall have, in their order.

    Raises:
        InvalidValue: a name is empty, or stands there twice.
        InvalidSpec: the network has no rows for single classes.
    """
    table = match_classes(model.names, names)
    spec = with_classes(model.spec, len(names))
    network = build_network(spec)
    old = _predictors(model)
    adapted = Model(spec, network.train(model.network.training), tuple(names))
    new = _predictors(adapted)

    rows_of = {f"{name}.{part}" for name in old for part in ("weight", "bias")}
    state = model.network.state_dict()
    common = {name: tensor for name, tensor in state.items() if name not in rows_of}
    missing, unexpected = network.load_state_dict(common, strict=False)
    if unexpected or not rows_of.issuperset(missing):
        raise InvalidSpec(
            model.spec.name, "its norms were folded", "Adapt the network before fuse_norms"
        )
    for source, target in zip(old.values(), new.values(), strict=True):
        _copy_rows(source.convolution.weight, target.convolution.weight, source, table)
        if source.convolution.bias is not None and target.convolution.bias is not None:
            _copy_rows(source.convolution.bias, target.convolution.bias, source, table)
    return adapted, table


def with_classes(spec: ModelSpec | CfgSpec, count: int) -> ModelSpec | CfgSpec:
    """The same model for another number of classes; in a cfg the filters change with it."""
    if isinstance(spec, ModelSpec):
        return spec.replace(num_classes=count)
    network = build_empty(spec)
    if not isinstance(network, DarknetNetwork):
        raise InvalidSpec(spec.name, "its network is none of a cfg", "Report this")
    levels = zip(network.detection_layers, network.levels, strict=True)
    anchors = {layer: len(level.anchors) for layer, level in levels}
    edits: dict[int, dict[str, int]] = {}
    for detection, convolution in detection_convolutions(spec).items():
        edits[detection] = {"classes": count}
        edits[convolution] = {"filters": anchors[detection] * (BOX + count)}
    return spec.replace(cfg=edit_cfg(spec.cfg, edits), num_classes=count)


def _predictors(model: Model) -> dict[str, Predictor]:
    """The convolutions that predict classes, by name, finest first."""
    network = model.network
    names = {module: name for name, module in network.named_modules()}
    if isinstance(network, Detector) and isinstance(network.head, YoloHead):
        anchors = [len(group) for group in network.head.spec.anchors]
        pairs = zip(network.head.predict, anchors, strict=True)
        return {
            names[conv]: Predictor(conv, count, BOX)
            for conv, count in pairs
            if isinstance(conv, nn.Conv2d)
        }
    if isinstance(network, Detector) and isinstance(network.head, EfficientDetHead):
        conv = network.head.classes.predict.pointwise
        return {names[conv]: Predictor(conv, len(network.head.spec.anchors[0]), 0)}
    if isinstance(network, DarknetNetwork) and isinstance(model.spec, CfgSpec):
        convolutions = detection_convolutions(model.spec)
        found = {}
        for detection, level in zip(network.detection_layers, network.levels, strict=True):
            layer = network.layers[convolutions[detection]]
            conv = next(module for module in layer.modules() if isinstance(module, nn.Conv2d))
            found[names[conv]] = Predictor(conv, len(level.anchors), BOX)
        return found
    raise InvalidSpec(model.spec.name, "its head has no rows for single classes", "Use another")


def _copy_rows(source: Tensor, target: Tensor, predictor: Predictor, table: ClassTable) -> None:
    """(A · (F + K), …) → (A · (F + K'), …), with F values of an anchor in front of its classes."""
    anchors, first = predictor.anchors, predictor.first
    old = source.view(anchors, -1, *source.shape[1:])
    new = target.view(anchors, -1, *target.shape[1:])
    new[:, :first] = old[:, :first]
    for before, now, _ in table.kept:
        new[:, first + now] = old[:, first + before]
