"""The ways in which a file may say what its model says: boxes and scores rewritten."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import permutations

import numpy as np

from ..specs.level import Level
from ..specs.metadata import Metadata
from ..structures import FloatArray
from .decode_errors import LEVEL_CHANGES, OFFSET_CHANGES, describe_levels
from .reference import Told, decode

TRANSPOSED = "boxes transposed"
DECODING = "wrong decode scheme"
SIDES = ("left", "top", "right", "bottom")

Rewritten = tuple[str, str, Told]  # name of the fault, evidence, what would be said


def rewritings(told: Told, metadata: Metadata, *, own: Metadata) -> Iterator[Rewritten]:
    """Everything that a file with another decoding would say, the likelier first.

    Args:
        told: what the model says.
        metadata: of the model.
        own: the file's own metadata, whose levels may be others.
    """
    yield from _boxes(told, metadata)
    if told.raw:
        yield from _decodings(told, metadata, own)
        yield from _scores(told, metadata)


def _boxes(told: Told, metadata: Metadata) -> Iterator[Rewritten]:
    """Sides in another order or another format."""
    boxes = told.boxes
    for order in _orders():
        words = ", ".join(SIDES[side] for side in order)
        evidence = f"each box is {words} where left, top, right, bottom is due"
        yield TRANSPOSED, evidence, replace(told, boxes=boxes[:, order])
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
            yield DECODING, evidence, replace(told, boxes=changed.astype(np.float32))
        mirrored = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], 1)
        yield (
            "boxes mirrored",
            "left and right of boxes are exchanged",
            replace(told, boxes=mirrored),
        )


def _orders() -> list[list[int]]:
    """Every wrong order of four sides; x and y exchanged first."""
    first = [1, 0, 3, 2]
    others = [list(order) for order in permutations(range(4))]
    return [first, *(order for order in others if order not in (first, [0, 1, 2, 3]))]


def _decodings(told: Told, metadata: Metadata, own: Metadata) -> Iterator[Rewritten]:
    """Raw predictions read by another rule."""
    if own.levels != metadata.levels:
        found = _try(told.raw, metadata, own.levels)
        if found is not None:
            differences = describe_levels(metadata.levels, own.levels)
            yield DECODING, f"it decodes with {differences}", found
    for evidence, change in LEVEL_CHANGES:
        levels = change(metadata.levels)
        found = (
            None
            if levels is None or tuple(levels) == metadata.levels
            else _try(told.raw, metadata, levels)
        )
        if found is not None:
            yield DECODING, evidence, found
    for evidence, share in (
        ("boxes lie half a cell too far to the upper left", -0.5),
        ("boxes lie half a cell too far to the lower right", 0.5),
    ):
        moved = told.boxes + share * row_strides(told.raw, metadata)[:, None]
        yield DECODING, evidence, replace(told, boxes=moved)
    for order, words in (([1, 0, 3, 2], "y is read as x, and height as width"),
                         ([1, 0, 2, 3], "y of the centre is read as x"),
                         ([0, 1, 3, 2], "height is read as width")):  # fmt: skip
        swapped = _try(_box_channels(told.raw, metadata, order), metadata, metadata.levels)
        if swapped is not None:
            yield TRANSPOSED, f"in the raw predictions {words}", swapped
    if metadata.levels[0].box_coding == "offset":
        for words, axes, misread in OFFSET_CHANGES:
            found = _try(
                _changed_offsets(told.raw, metadata, axes, misread), metadata, metadata.levels
            )
            if found is not None:
                yield DECODING, words, replace(found, raw=told.raw)
    turned = tuple(level.transpose(0, 2, 1) for level in told.raw)
    if [one.shape for one in turned] == [one.shape for one in told.raw]:
        found = _try(turned, metadata, metadata.levels)
        if found is not None:
            yield TRANSPOSED, "rows and columns of the cells are exchanged", found


def _scores(told: Told, metadata: Metadata) -> Iterator[Rewritten]:
    """Scores before their activation, after it twice, or without objectness."""
    with np.errstate(all="ignore"):
        scores = told.scores.astype(np.float64)
        logits = np.log(scores / (1 - scores))
        wrong = [
            ("scores are logits", np.nan_to_num(logits, neginf=-50, posinf=50)),
            ("the logistic function is applied to scores once more", 1 / (1 + np.exp(-scores))),
            ("scores are squared", scores * scores),
        ]
        chances = class_chances(told.raw, metadata)
        if chances is not None:
            wrong.append(("scores leave objectness out", chances))
            objectness = scores / np.maximum(chances, 1e-12)
            wrong.append(("scores leave the classes out", objectness))
    for evidence, changed in wrong:
        yield DECODING, evidence, replace(told, scores=changed.astype(np.float32))


def class_chances(raw: Sequence[FloatArray], metadata: Metadata) -> FloatArray | None:
    """(P, K) chances of the classes without objectness; None where there is no such thing."""
    if metadata.levels[0].box_coding == "offset":
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
    offsets = metadata.levels[0].box_coding == "offset"
    kept, boxes = (list(raw[:count]), raw[count:]) if offsets else ([], raw)
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


def _try(raw: Sequence[FloatArray], metadata: Metadata, levels: Sequence[Level]) -> Told | None:
    """Raw predictions read by other levels, if they can be."""
    counts = [len(level.anchors) for level in metadata.levels]
    if [len(level.anchors) for level in levels] != counts:
        return None
    return decode(raw, metadata, levels)
