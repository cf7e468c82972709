"""Adapt a model to other classes, keeping the weights of shared ones."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import InvalidSpec
from ..heads import ClassRows
from ..specs.classes import ClassTable, match_classes
from .model import Model, build_network, spec_with_classes


@torch.no_grad()
def adapt_classes(model: Model, names: Sequence[str]) -> tuple[Model, ClassTable]:
    """Adapt a model to other classes; shared classes keep their weights.

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
    spec = spec_with_classes(model.spec, len(names))
    network = build_network(spec)
    old = _class_rows(model)
    adapted = Model(spec, network.train(model.network.training), tuple(names))
    new = _class_rows(adapted)

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


def _class_rows(model: Model) -> dict[str, ClassRows]:
    """The convolutions that predict classes, by name."""
    names = {module: name for name, module in model.network.named_modules()}
    return {names[rows.convolution]: rows for rows in model.network.class_rows()}


def _copy_rows(source: Tensor, target: Tensor, rows: ClassRows, table: ClassTable) -> None:
    """(A · (F + K), …) → (A · (F + K'), …), with F values of an anchor in front of its classes."""
    anchors, first = rows.anchors, rows.first
    old = source.view(anchors, -1, *source.shape[1:])
    new = target.view(anchors, -1, *target.shape[1:])
    new[:, :first] = old[:, :first]
    for before, now, _ in table.kept:
        new[:, first + now] = old[:, first + before]
