"""Classes are matched by name: which of them a network already knows, and a network for others."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..darknet import DarknetNetwork
from ..detector import Detector
from ..errors import InvalidSpec, InvalidValue
from ..heads import EfficientDetHead, YoloHead
from ..specs import CfgSpec, ModelSpec
from ..specs.coco import canonical_name, is_unused
from .cfg_edit import detection_convolutions, edit_cfg
from .model import Model
from .networks import build_empty, build_network

SHOWN = 8  # names in a line
BOX = 5  # values of a YOLO anchor in front of its classes: x, y, width, height, objectness


@dataclass(frozen=True)
class ClassTable:
    """What became of the classes of a network when it was given others.

    Args:
        kept: (label before, label now, name now) of classes that both have, in the new order.
        dropped: names that are no longer there; of COCO's ids without a class none counts.
        new: names that have to be learned.
    """

    kept: tuple[tuple[int, int, str], ...]
    dropped: tuple[str, ...]
    new: tuple[str, ...]

    def describe(self) -> str:
        """In one line, what was kept by name, what is new and what was dropped."""
        groups = {
            "kept by name": [name for _, _, name in self.kept],
            "new": self.new,
            "dropped": self.dropped,
        }
        counts = ", ".join(f"{len(names)} {what}" for what, names in groups.items())
        listed = [f"{what}: {_shorten(names)}" for what, names in groups.items() if names]
        return "; ".join([counts, *listed])


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


def _shorten(names: Sequence[str]) -> str:
    """The first names."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} others" if more > 0 else "")


def match_classes(before: Sequence[str], now: Sequence[str]) -> ClassTable:
    """Find the classes that two lists share, by name and never by position.

    Names match when they are equal, or else when they are two spellings of one class (`tvmonitor`
    and `tv`).

    Raises:
        InvalidValue: a name is empty, or stands in one list twice.
    """
    check_names(before, what="before")
    check_names(now, what="now")
    label_before = {name: label for label, name in enumerate(before)}
    by_spelling = _unique(before)
    spellings_now = _unique(now)
    kept = []
    for label, name in enumerate(now):
        found = label_before.get(name)
        spelling = canonical_name(name)
        if found is None and spelling in spellings_now:
            other = by_spelling.get(spelling)
            found = None if other is None or before[other] in now else other
        if found is not None:
            kept.append((found, label, name))
    old, current = {row[0] for row in kept}, {row[1] for row in kept}
    return ClassTable(
        tuple(kept),
        tuple(
            name for label, name in enumerate(before) if label not in old and not is_unused(name)
        ),
        tuple(name for label, name in enumerate(now) if label not in current),
    )


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


def check_names(names: Sequence[str], *, what: str = "now") -> None:
    """Refuse a list of classes with an empty name, or with one twice.

    Raises:
        InvalidValue: it is so.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice or not all(name.strip() for name in names):
        raise InvalidValue(
            f"The list of classes ({what})", twice or "with an empty name", "names, each once"
        )


def _unique(names: Iterable[str]) -> dict[str, int]:
    """Labels by spelling, without the spellings that several names share."""
    spellings = [canonical_name(name) for name in names]
    counts = Counter(spellings)
    return {spelling: label for label, spelling in enumerate(spellings) if counts[spelling] == 1}


def with_classes(spec: ModelSpec | CfgSpec, count: int) -> ModelSpec | CfgSpec:
    """The same model for another number of classes; in a cfg the filters change with it."""
    if isinstance(spec, ModelSpec):
        return spec.replace(num_classes=count)
    network = build_empty(spec)
    if not isinstance(network, DarknetNetwork):
        raise InvalidSpec(spec.name, "its network is none of a cfg", "Report this")
    anchors = {level.layer: len(level.anchors) for level in network.levels}
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
        for level in network.levels:
            layer = network.layers[convolutions[level.layer]]
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
