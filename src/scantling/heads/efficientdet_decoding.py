"""Raw EfficientDet predictions → boxes and scores: one formula, for torch and NumPy arrays.

Paper: EfficientDet, https://arxiv.org/abs/1911.09070.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..boxes import (
    Array,
    as_float32,
    boxes_around,
    broadcast,
    cell_corners,
    concatenate,
    constant,
    exp,
    sigmoid,
)
from ..specs.level import Level
from ..structures import Candidates


def decode_efficientdet(
    raw: Sequence[Array], levels: Sequence[Level], image_size: tuple[int, int]
) -> Candidates:
    """Raw predictions of all levels → boxes and scores.

    Args:
        raw: first per level (N, A · K, H, W) class logits, then per level (N, A · 4, H, W) offsets.
        levels: finest first.
        image_size: (height, width) of the network's input.

    Returns:
        By level, then row, column and anchor.
    """
    class_maps, box_maps = raw[: len(levels)], raw[len(levels) :]
    logits = [
        one_row_an_anchor(maps, maps.shape[1] // len(level.anchors))
        for maps, level in zip(class_maps, levels, strict=True)
    ]
    offsets = [one_row_an_anchor(maps, 4) for maps in box_maps]
    anchors = [
        cell_anchors(maps, level, image_size) for maps, level in zip(box_maps, levels, strict=True)
    ]
    boxes = decode_offsets(concatenate(offsets, 1), concatenate(anchors, 0))
    return Candidates(boxes, sigmoid(concatenate(logits, 1)))


def cell_anchors(raw: Array, level: Level, image_size: tuple[int, int]) -> Array:
    """The anchors of one level, around the middle of every cell.

    Where the stride does not divide the image, cells are smaller, and anchors shrink with them.

    Args:
        raw: (N, …, H, W) of the level, for its size, library and device.
        level: whose anchors.
        image_size: (height, width) of the network's input.

    Returns:
        (H · W · A, 4) float32: centre x, centre y, width, height; by row, then column, then anchor.
    """
    rows, columns = raw.shape[-2:]
    height, width = image_size[0] / rows, image_size[1] / columns
    x, y = cell_corners(rows, columns, raw)[..., None, None] + 0.5
    centres = concatenate([x * width, y * height], -1)
    shrunk = np.array([width / level.stride, height / level.stride], np.float32)
    sizes = constant(np.array(level.anchors, np.float32) * shrunk, raw)  # one copy to the device
    shape = (rows, columns, len(level.anchors), 2)
    both = [broadcast(centres, shape), broadcast(sizes, shape)]
    anchors: Array = concatenate(both, -1).reshape(-1, 4)
    return anchors


def decode_offsets(offsets: Array, anchors: Array) -> Array:
    """Boxes from their offsets to anchors.

    Args:
        offsets: (N, P, 4) y and x in anchor sizes, then log of height and width over the anchor's.
        anchors: (P, 4) centre x, centre y, width, height.

    Returns:
        (N, P, 4) xyxy float32, in the unit of the anchors.
    """
    offsets = as_float32(offsets)
    centre = anchors[:, :2] + offsets[..., [1, 0]] * anchors[:, 2:]
    half = exp(offsets[..., [3, 2]]) * anchors[:, 2:] / 2
    return boxes_around(centre, half, -1)


def one_row_an_anchor(maps: Array, values: int) -> Array:
    """(N, A · values, H, W) → (N, H · W · A, values) float32, by row, then column, then anchor."""
    last = maps.swapaxes(1, 2).swapaxes(2, 3)
    return as_float32(last.reshape(maps.shape[0], -1, values))
