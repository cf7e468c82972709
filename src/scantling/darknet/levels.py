"""The detection layers of a `.cfg`, `[yolo]` and `[region]`: what they mean, and their decoding."""

from dataclasses import dataclass

from torch import Tensor

from ..heads.yolo import decode_level
from ..specs.schema import Anchor
from ..structures import Candidates
from .cfg import Section
from .describe import count_classes


@dataclass(frozen=True)
class Level:
    """One detection layer.

    Attributes:
        layer: its index in the cfg.
        stride: input pixels per cell.
        anchors: (width, height) in pixels of the network's input.
        num_classes: K.
        box_coding: `exponential` or, with `new_coords=1`, `sigmoid`.
        scale_xy: how far a centre may leave its cell (`scale_x_y`).
        activated: `new_coords=1` on values that are no logits: they are decoded as they are.
        class_activation: `sigmoid`, or `softmax` for `[region]`.
    """

    layer: int
    stride: int
    anchors: tuple[Anchor, ...]
    num_classes: int
    box_coding: str
    scale_xy: float
    activated: bool
    class_activation: str

    def decode(self, raw: Tensor, image_size: tuple[int, int]) -> Candidates:
        """(N, A · (5 + K), H, W) raw → boxes and scores, by anchor, then row, then column."""
        return decode_level(
            raw,
            self.anchors,
            image_size,
            box_coding=self.box_coding,
            scale_xy=self.scale_xy,
            activated=self.activated,
            class_activation=self.class_activation,
        )


def read_level(section: Section, layer: int, stride: int, *, logits: bool) -> Level:
    """A detection layer from its section.

    Args:
        section: a `[yolo]` or a `[region]`.
        layer: its index.
        stride: input pixels per cell.
        logits: what it reads was left before its logistic activation.

    Raises:
        InvalidCfg: an option is missing or does not fit the others.
    """
    if section.kind == "region":
        return _read_region(section, layer, stride)
    new_coords = section.flag("new_coords")
    return Level(
        layer=layer,
        stride=stride,
        anchors=_masked(section),
        num_classes=count_classes(section),
        box_coding="sigmoid" if new_coords else "exponential",
        scale_xy=section.number("scale_x_y", 1.0, low=0, high=100),
        activated=new_coords and not logits,
        class_activation="sigmoid",
    )


def _read_region(section: Section, layer: int, stride: int) -> Level:
    if not section.flag("softmax"):
        raise section.error("without softmax=1 it cannot be honoured", "Write softmax=1")
    anchors = _anchors(section)
    count = section.integer("num", 1, low=1)
    if count != len(anchors):
        raise section.error(f"num={count} but {len(anchors)} anchors", "Make them agree")
    return Level(
        layer=layer,
        stride=stride,
        anchors=tuple((width * stride, height * stride) for width, height in anchors),
        num_classes=count_classes(section),
        box_coding="exponential",
        scale_xy=1.0,
        activated=False,
        class_activation="softmax",
    )


def _masked(section: Section) -> tuple[Anchor, ...]:
    """The anchors of this level. `num` adds nothing: the list itself says how many there are."""
    anchors = _anchors(section)
    mask = section.integers("mask") or tuple(range(section.integer("num", 1, low=1)))
    for index in mask:
        if not 0 <= index < len(anchors):
            raise section.error(
                f"anchor {index} is asked for, but anchors lists {len(anchors)}",
                f"Use 0 to {len(anchors) - 1} in mask, or list more anchors",
                option="mask",
            )
    return tuple(anchors[index] for index in mask)


def _anchors(section: Section) -> tuple[Anchor, ...]:
    values = section.numbers("anchors")
    if not values or len(values) % 2:
        raise section.error(
            f"anchors lists {len(values)} numbers",
            "Give a width and a height for each anchor",
            option="anchors",
        )
    if min(values) <= 0 or max(values) > 1e6:
        raise section.error("an anchor without size", "Use positive sizes", option="anchors")
    return tuple(zip(values[::2], values[1::2], strict=True))
