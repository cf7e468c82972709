"""Raw YOLO predictions → boxes and scores: one formula, for torch tensors and NumPy arrays.

Papers: YOLOv2, https://arxiv.org/abs/1612.08242; YOLOv3, https://arxiv.org/abs/1804.02767;
Scaled-YOLOv4, https://arxiv.org/abs/2011.08036.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..boxes import (
    Array,
    as_float32,
    boxes_around,
    cell_corners,
    concatenate,
    constant,
    exp,
    sigmoid,
    softmax,
)
from ..specs.level import Level
from ..structures import Candidates
from .base import RawLayout

YOLO_LAYOUT = RawLayout(separate=False, objectness=True)
OBJECTNESS = 4  # its place among the values of an anchor, after x, y, width and height
BOX_VALUES = OBJECTNESS + 1  # in front of the classes


def decode_yolo(
    raw: Sequence[Array], levels: Sequence[Level], image_size: tuple[int, int]
) -> Candidates:
    """Raw predictions of all levels → boxes and scores; see `decode_level`."""
    pairs = zip(raw, levels, strict=True)
    found = [decode_level(maps, level, image_size) for maps, level in pairs]
    boxes: Any = [one.boxes for one in found]
    scores: Any = [one.scores for one in found]
    return Candidates(concatenate(boxes, 1), concatenate(scores, 1))


def decode_level(raw: Array, level: Level, image_size: tuple[int, int]) -> Candidates:
    """Raw predictions of one level → boxes and scores.

    Args:
        raw: (N, A · (5 + K), H, W), before any activation.
        level: how to read them.
        image_size: (height, width) of the network's input.

    Returns:
        boxes (N, A · H · W, 4), scores (N, A · H · W, K) = objectness · class, float32; ordered by
        anchor, then row, then column.
    """
    images, channels, rows, columns = raw.shape
    anchors = len(level.anchors)
    values = as_float32(raw).reshape(images, anchors, channels // anchors, rows, columns)
    height, width = image_size
    cell = constant([width / columns, height / rows], raw)[:, None, None]
    corner = cell_corners(rows, columns, raw)
    centre = (corner + centre_in_cell(values[:, :, 0:2], level)) * cell
    anchor = constant(level.anchors, raw)[:, :, None, None]
    size = anchor * size_over_anchor(values[:, :, 2:4], level)
    boxes = boxes_around(centre, size / 2, 2)
    objectness = activate(values[:, :, OBJECTNESS:BOX_VALUES], level)
    scores = objectness * class_scores(values[:, :, BOX_VALUES:], level)
    return Candidates(_one_row_a_box(boxes), _one_row_a_box(scores))


def activate(values: Array, level: Level) -> Array:
    """The logistic function of raw values, unless the network has applied it already."""
    return values if level.activated else sigmoid(values)


def centre_in_cell(values: Array, level: Level) -> Array:
    """Raw x or y → where in its cell a centre is, in cells: s · σ(t) − (s − 1) / 2."""
    scale = level.scale_xy
    return scale * activate(values, level) - (scale - 1) / 2


def size_over_anchor(values: Array, level: Level) -> Array:
    """Raw width or height → size over the anchor's: exp(t), or (2σ(t))² of coding `sigmoid`."""
    if level.box_coding == "exponential":
        return exp(values)
    root = 2 * activate(values, level)
    return root * root


def class_scores(logits: Array, level: Level, *, axis: int = 2) -> Array:
    """Raw classes → the score of each, before objectness."""
    if level.class_activation == "softmax":
        return softmax(logits, axis)
    return activate(logits, level)


def _one_row_a_box(values: Array) -> Array:
    """(N, A, V, H, W) → (N, A · H · W, V)."""
    images, anchors, count, rows, columns = values.shape
    last = values.swapaxes(2, 3).swapaxes(3, 4)
    return last.reshape(images, anchors * rows * columns, count)
