"""What a loss must know of each level of a network, in plain numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from ..errors import InvalidValue
from ..specs import ModelSpec
from ..specs.schema import Anchor

Value = TypeVar("Value")


@dataclass(frozen=True)
class LossLevel:
    """One level of raw predictions.

    Args:
        anchors: A × (width, height) in pixels of the network's input.
        stride: input pixels per cell.
        box_coding: `exponential`, `sigmoid` or `offset`, as in `HeadSpec`.
        scale_xy: how far a centre may leave its cell: 1 is the grid's sensitivity as YOLOv3 has
            it; above, centres on the edge of a cell need no infinite value.
        activated: raw predictions are taken as they are, without any σ.
    """

    anchors: tuple[Anchor, ...]
    stride: int
    box_coding: str
    scale_xy: float = 1.0
    activated: bool = False


def loss_levels(spec: ModelSpec) -> tuple[LossLevel, ...]:
    """The levels of a native model, finest first."""
    scales = spec.head.scale_xy or (1.0,) * len(spec.strides)
    return tuple(
        LossLevel(anchors, stride, spec.head.box_coding, scale)
        for anchors, stride, scale in zip(spec.head.anchors, spec.strides, scales, strict=True)
    )


def per_level(setting: str, value: Value | tuple[Value, ...], levels: int) -> tuple[Value, ...]:
    """One value a level, where one for all or one a level was given.

    Raises:
        InvalidValue: neither one nor as many as there are levels.
    """
    if not isinstance(value, tuple):
        return (value,) * levels
    if len(value) != levels:
        raise InvalidValue(setting, value, f"one value, or {levels}, one a level, finest first")
    return value


def check_coding(loss: str, levels: Sequence[LossLevel], codings: tuple[str, ...]) -> None:
    """Refuse a loss for levels whose boxes it cannot read.

    Raises:
        InvalidValue: there is no level, or one has another box coding.
    """
    found = {level.box_coding for level in levels}
    if not found or not found <= set(codings):
        raise InvalidValue(
            f"box_coding for the loss {loss!r}", sorted(found), f"each one of {', '.join(codings)}"
        )
