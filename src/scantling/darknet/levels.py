"""The detection layers of a `.cfg`, `[yolo]` and `[region]`: how their predictions are read."""

from ..specs.level import Anchor, Level
from .cfg import Section


def read_level(section: Section, stride: int, *, logits: bool) -> Level:
    """A detection layer from its section.

    Args:
        section: a `[yolo]` or a `[region]`.
        stride: input pixels per cell.
        logits: what it reads was left before its logistic activation.

    Raises:
        InvalidCfg: an option is missing or does not fit the others.
    """
    if section.kind == "region":
        return _read_region(section, stride)
    new_coords = section.flag("new_coords")
    return Level(
        stride=stride,
        anchors=_masked(section),
        box_coding="sigmoid" if new_coords else "exponential",
        scale_xy=section.number("scale_x_y", 1.0, low=0, high=100),
        activated=new_coords and not logits,
    )


def count_anchors(section: Section) -> int:
    """How many anchors a cell of a detection layer has."""
    return len(_anchors(section) if section.kind == "region" else _masked(section))


def _read_region(section: Section, stride: int) -> Level:
    if not section.flag("softmax"):
        raise section.error("without softmax=1 it cannot be honoured", "Write softmax=1")
    anchors = _anchors(section)
    count = section.integer("num", 1, low=1)
    if count != len(anchors):
        raise section.error(f"num={count} but {len(anchors)} anchors", "Make them agree")
    return Level(
        stride=stride,
        anchors=tuple((width * stride, height * stride) for width, height in anchors),
        box_coding="exponential",
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
