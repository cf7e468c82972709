"""Errors behind the network, for `explain` to try: raw outputs decoded wrongly, boxes and scores
rewritten."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from ..engines.files import layout_of
from ..specs.level import Level
from ..specs.metadata import Metadata
from ..structures import FloatArray
from .distance import Output
from .metadata_diff import describe_levels
from .reference import decode
from .result import DECODING, TRANSPOSED

SIDES = ("left", "top", "right", "bottom")

Levels = Sequence[Level]
Sizes = NDArray[np.float64]  # (A, 2)
OutputChange = tuple[str, str, Output]  # name of the fault, evidence, the wrong output


def output_changes(output: Output, metadata: Metadata, *, own: Metadata) -> Iterator[OutputChange]:
    """The outputs of wrong decodings, the likelier first.

    Args:
        output: of the reference.
        metadata: of the reference.
        own: of the candidate, whose levels may be others.
    """
    yield from _boxes(output, metadata)
    if output.raw:
        yield from _decodings(output, metadata, own)
        yield from _scores(output, metadata)


def _boxes(output: Output, metadata: Metadata) -> Iterator[OutputChange]:
    """Sides in another order or another format."""
    boxes = output.boxes
    for order in _orders():
        words = ", ".join(SIDES[side] for side in order)
        evidence = f"each box is {words} where left, top, right, bottom is due"
        yield TRANSPOSED, evidence, replace(output, boxes=boxes[:, order])
    height, width = metadata.image_size
    with np.errstate(all="ignore"):
        size = boxes[:, 2:] - boxes[:, :2]
        centre = (boxes[:, 2:] + boxes[:, :2]) / 2
        full = np.array([width, height], np.float32)
        scale = np.concatenate([full, full])
        formats: list[tuple[str, FloatArray]] = [
            ("as centre and size", np.concatenate([centre, size], 1)),
            ("as centre and size, y before x", np.concatenate([centre, size], 1)[:, [1, 0, 3, 2]]),
            ("as corner and size", np.concatenate([boxes[:, :2], size], 1)),
            ("from 0 to 1 in place of pixels", boxes / scale),
            ("from 0 to 1, y before x", (boxes / scale)[:, [1, 0, 3, 2]]),
            (
                "as centre and size from 0 to 1",
                (np.concatenate([centre, size], 1) / scale).astype(np.float32),
            ),
            ("with half the size", np.concatenate([centre - size / 4, centre + size / 4], 1)),
            ("with twice the size", np.concatenate([centre - size, centre + size], 1)),
        ]
        for words, changed in formats:
            evidence = f"boxes are given {words}"
            yield DECODING, evidence, replace(output, boxes=changed.astype(np.float32))
        mirrored = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], 1)
        yield (
            "boxes mirrored",
            "left and right of boxes are exchanged",
            replace(output, boxes=mirrored),
        )


def _orders() -> list[list[int]]:
    """Every wrong order of four sides; x and y exchanged first."""
    first = [1, 0, 3, 2]
    others = [list(order) for order in permutations(range(4))]
    return [first, *(order for order in others if order not in (first, [0, 1, 2, 3]))]


def _decodings(output: Output, metadata: Metadata, own: Metadata) -> Iterator[OutputChange]:
    """Raw predictions read by another rule."""
    if own.levels != metadata.levels:
        found = _try(output.raw, metadata, own.levels)
        if found is not None:
            differences = describe_levels(metadata.levels, own.levels)
            yield DECODING, f"it decodes with {differences}", found
    for evidence, change in LEVEL_CHANGES:
        levels = change(metadata.levels)
        found = (
            None
            if levels is None or tuple(levels) == metadata.levels
            else _try(output.raw, metadata, levels)
        )
        if found is not None:
            yield DECODING, evidence, found
    for evidence, share in (
        ("boxes lie half a cell too far to the upper left", -0.5),
        ("boxes lie half a cell too far to the lower right", 0.5),
    ):
        moved = output.boxes + share * row_strides(output.raw, metadata)[:, None]
        yield DECODING, evidence, replace(output, boxes=moved)
    for order, words in (([1, 0, 3, 2], "y is read as x, and height as width"),
                         ([1, 0, 2, 3], "y of the centre is read as x"),
                         ([0, 1, 3, 2], "height is read as width")):  # fmt: skip
        swapped = _try(_box_channels(output.raw, metadata, order), metadata, metadata.levels)
        if swapped is not None:
            yield TRANSPOSED, f"in the raw predictions {words}", swapped
    if metadata.levels[0].box_coding == "offset":  # what OFFSET_CHANGES misread
        for words, axes, misread in OFFSET_CHANGES:
            found = _try(
                _changed_offsets(output.raw, metadata, axes, misread), metadata, metadata.levels
            )
            if found is not None:
                yield DECODING, words, replace(found, raw=output.raw)
    turned = tuple(level.transpose(0, 2, 1) for level in output.raw)
    if [one.shape for one in turned] == [one.shape for one in output.raw]:
        found = _try(turned, metadata, metadata.levels)
        if found is not None:
            yield TRANSPOSED, "rows and columns of the cells are exchanged", found


def _scores(output: Output, metadata: Metadata) -> Iterator[OutputChange]:
    """Scores before their activation, after it twice, or without objectness."""
    with np.errstate(all="ignore"):
        scores = output.scores.astype(np.float64)
        logits = np.log(scores / (1 - scores))
        wrong = [
            ("scores are logits", np.nan_to_num(logits, neginf=-50, posinf=50)),
            ("the logistic function is applied to scores once more", 1 / (1 + np.exp(-scores))),
            ("scores are squared", scores * scores),
        ]
        chances = class_chances(output.raw, metadata)
        if chances is not None:
            wrong.append(("scores leave objectness out", chances))
            objectness = scores / np.maximum(chances, 1e-12)
            wrong.append(("scores leave the classes out", objectness))
    for evidence, changed in wrong:
        yield DECODING, evidence, replace(output, scores=changed.astype(np.float32))


def class_chances(raw: Sequence[FloatArray], metadata: Metadata) -> FloatArray | None:
    """(P, K) chances of the classes without objectness; None where there is no such thing."""
    if not layout_of(metadata).objectness:
        return None
    certain = []
    for level, own in zip(raw, metadata.levels, strict=True):
        values = level.reshape(len(own.anchors), -1, *level.shape[1:]).copy()
        values[:, 4] = 1.0 if own.activated else 50.0
        certain.append(values.reshape(level.shape))
    found = _try(certain, metadata, metadata.levels)
    return None if found is None else found.scores


def row_strides(raw: Sequence[FloatArray], metadata: Metadata) -> FloatArray:
    """(P,) pixels of a cell, for each box."""
    counts = [
        len(level.anchors) * maps.shape[-2] * maps.shape[-1]
        for level, maps in zip(metadata.levels, raw[-len(metadata.levels) :], strict=True)
    ]
    strides = [metadata.image_size[0] / maps.shape[-2] for maps in raw[-len(metadata.levels) :]]
    return np.repeat(np.array(strides, np.float32), counts)


def _box_channels(
    raw: Sequence[FloatArray], metadata: Metadata, order: list[int]
) -> list[FloatArray]:
    """Raw predictions with the four channels of every box in another order."""
    count = len(metadata.levels)
    separate = layout_of(metadata).separate
    kept, boxes = (list(raw[:count]), raw[count:]) if separate else ([], raw)
    changed = []
    for level, own in zip(boxes, metadata.levels, strict=True):
        values = level.reshape(len(own.anchors), -1, *level.shape[1:]).copy()
        values[:, :4] = values[:, order]
        changed.append(values.reshape(level.shape))
    return kept + changed


def _changed_offsets(
    raw: Sequence[FloatArray],
    metadata: Metadata,
    axes: slice,
    change: Callable[[FloatArray], FloatArray],
) -> list[FloatArray]:
    """Raw predictions of an EfficientDet with some of the four offsets of every box changed."""
    count = len(metadata.levels)
    changed = list(raw[:count])
    for level, own in zip(raw[count:], metadata.levels, strict=True):
        values = level.reshape(len(own.anchors), 4, *level.shape[1:]).copy()
        with np.errstate(all="ignore"):
            values[:, axes] = change(values[:, axes])
        changed.append(values.reshape(level.shape))
    return changed


def _try(raw: Sequence[FloatArray], metadata: Metadata, levels: Sequence[Level]) -> Output | None:
    """Raw predictions read by other levels, if they can be."""
    counts = [len(level.anchors) for level in metadata.levels]
    if [len(level.anchors) for level in levels] != counts:
        return None
    return decode(raw, metadata, levels)


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


def _anchors_of(change: Callable[[Sizes, Level], Sizes]) -> Callable[[Levels], list[Level]]:
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


# Every other decoding rule: evidence, levels → levels (None where it does not apply).
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
