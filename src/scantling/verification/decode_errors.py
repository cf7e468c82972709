"""The ways in which raw predictions are misread: other formulas, other anchors, other offsets."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..specs.level import Level
from ..structures import FloatArray

Levels = Sequence[Level]
Sizes = NDArray[np.float64]  # (A, 2)


def _each(**changes: object) -> Callable[[Levels], list[Level]]:
    return lambda levels: [level.model_copy(update=changes) for level in levels]


def _other_coding(levels: Levels, **more: object) -> list[Level] | None:
    """Exponential where it is sigmoid, and the other way round."""
    other = {"exponential": "sigmoid", "sigmoid": "exponential"}
    if levels[0].box_coding not in other:
        return None
    return [
        level.model_copy(update={"box_coding": other[level.box_coding], **more}) for level in levels
    ]


def _anchors_of(
    change: Callable[[Sizes, Level], Sizes],
) -> Callable[[Levels], list[Level]]:
    def apply(levels: Levels) -> list[Level]:
        return [
            level.model_copy(
                update={"anchors": tuple(map(tuple, change(np.array(level.anchors), level)))}
            )
            for level in levels
        ]

    return apply


def _reversed_anchors(levels: Levels) -> list[Level] | None:
    groups = [level.anchors for level in levels][::-1]
    return [
        level.model_copy(update={"anchors": anchors})
        for level, anchors in zip(levels, groups, strict=True)
    ]


# Every other rule: what it is called, levels → levels, None where it does not apply.
LEVEL_CHANGES: tuple[tuple[str, Callable[[Levels], list[Level] | None]], ...] = (
    ("sizes are decoded by the other formula (exponential for sigmoid)", _other_coding),
    (
        "boxes are decoded by the other formula with scale_xy 2, as Scaled-YOLOv4's",
        lambda levels: _other_coding(levels, scale_xy=2.0),
    ),
    (
        "boxes are decoded by the other formula with scale_xy 1, as YOLOv3's",
        lambda levels: _other_coding(levels, scale_xy=1.0),
    ),
    *(
        (f"centres are decoded with scale_xy {scale:g}", _each(scale_xy=scale))
        for scale in (1.0, 2.0, 1.05, 1.1, 1.2)
    ),
    ("raw predictions are taken as they are, without logistic function", _each(activated=True)),
    ("the logistic function is applied to what needs none", _each(activated=False)),
    ("class scores go through softmax", _each(class_activation="softmax")),
    ("class scores go through the logistic function", _each(class_activation="sigmoid")),
    ("the anchors of the levels are exchanged, coarsest first", _reversed_anchors),
    ("anchors are read as (height, width)", _anchors_of(lambda sizes, _: sizes[:, ::-1])),
    ("the anchors of each level are in reverse", _anchors_of(lambda sizes, _: sizes[::-1])),
    ("anchors are multiplied by the stride", _anchors_of(lambda sizes, one: sizes * one.stride)),
    ("anchors are divided by the stride", _anchors_of(lambda sizes, one: sizes / one.stride)),
)


def describe_levels(right: Levels, wrong: Levels) -> str:
    """In what two lists of levels differ, in words."""
    if len(right) != len(wrong):
        return f"{len(wrong)} levels in place of {len(right)}"
    told = []
    for name in Level.model_fields:
        pairs = [(getattr(a, name), getattr(b, name)) for a, b in zip(right, wrong, strict=True)]
        first = next((pair for pair in pairs if pair[0] != pair[1]), None)
        if first is not None:
            told.append(f"{name} {first[1]} in place of {first[0]}")
    return "; ".join(told)


def _sigmoid(values: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-values)), np.float32)


_CENTRES, _SIZES = slice(0, 2), slice(2, 4)
# How offsets to anchors are misread: what it is called, which of y, x, height, width, and what is
# read in their place.
OFFSET_CHANGES: tuple[tuple[str, slice, Callable[[FloatArray], FloatArray]], ...] = (
    (
        "sizes are decoded by the formula (2σ(t))² of another family",
        _SIZES,
        lambda t: 2 * np.log(2 * _sigmoid(t)),
    ),
    ("sizes are decoded as 1 + t, without exponential", _SIZES, lambda t: np.log1p(t)),
    ("sizes are decoded as t, without exponential", _SIZES, lambda t: np.log(t)),
    ("sizes are those of the anchors", _SIZES, lambda t: 0 * t),
    ("sizes are scaled by a variance of 0.2, as SSD's", _SIZES, lambda t: t * np.float32(0.2)),
    ("centres are scaled by a variance of 0.1, as SSD's", _CENTRES, lambda t: t * np.float32(0.1)),
    ("offsets are scaled by a variance of 0.1", slice(0, 4), lambda t: t * np.float32(0.1)),
    ("centres go through the logistic function, as YOLO's", _CENTRES, lambda t: _sigmoid(t) - 0.5),
    ("centres are those of the anchors", _CENTRES, lambda t: 0 * t),
)
