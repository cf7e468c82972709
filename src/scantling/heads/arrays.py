"""The array operations of decoding, alike for torch tensors and NumPy arrays. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..boxes import Array, library_of
from ..structures import Candidates


def sigmoid(values: Array) -> Array:
    """The logistic function of each value."""
    if isinstance(values, np.ndarray):
        with np.errstate(over="ignore"):  # far below zero it is 0, as it should be
            logistic: Array = np.float32(1) / (np.float32(1) + np.exp(-values))
        return logistic
    return values.sigmoid()


def exp(values: Array) -> Array:
    """The exponential of each value; infinite where it is too large for float32."""
    if isinstance(values, np.ndarray):
        with np.errstate(over="ignore"):  # an untrained network's boxes may be that large
            power: Array = np.exp(values)
        return power
    return values.exp()


def softmax(values: Array, axis: int) -> Array:
    """Exponentials that add up to 1 along an axis."""
    if isinstance(values, np.ndarray):
        powers = np.exp(values - values.max(axis=axis, keepdims=True))
        shares: Array = powers / powers.sum(axis=axis, keepdims=True)
        return shares
    return values.softmax(axis)


def as_float32(values: Array) -> Array:
    """The values in float32; themselves where they are already."""
    if isinstance(values, np.ndarray):
        return values.astype(np.float32, copy=False)
    return values.float()


def constant(values: Any, like: Array) -> Array:
    """Numbers as a float32 array of the library, and on the device, of another."""
    if isinstance(like, np.ndarray):
        return np.array(values, np.float32)
    return like.new_tensor(values, dtype=library_of(like).float32)


def concatenate(parts: Sequence[Array], axis: int) -> Array:
    """Arrays one after another along an axis."""
    joined: Array = library_of(parts[0]).concatenate(parts, axis)
    return joined


def broadcast(array: Array, shape: tuple[int, ...]) -> Array:
    """The array repeated along its sides of 1, without a copy."""
    repeated: Array = library_of(array).broadcast_to(array, shape)
    return repeated


def boxes_around(centre: Array, half: Array, axis: int) -> Array:
    """Boxes as xyxy from their centres and half of their sizes."""
    with np.errstate(invalid="ignore"):  # of an infinite size
        return concatenate([centre - half, centre + half], axis)


def cell_corners(rows: int, columns: int, like: Array) -> Array:
    """(2, rows, columns) float32: x and y of the upper left corner of each cell, in cells."""
    library = library_of(like)
    place: dict[str, Any] = {} if isinstance(like, np.ndarray) else {"device": like.device}
    x, y = (library.arange(side, dtype=library.float32, **place) for side in (columns, rows))
    corners: Array = library.stack(library.meshgrid(x, y, indexing="xy"))
    return corners


def join_levels(levels: Sequence[Candidates]) -> Candidates:
    """The candidates of all levels in one list, in the order given."""
    boxes: Any = [level.boxes for level in levels]
    scores: Any = [level.scores for level in levels]
    return Candidates(concatenate(boxes, 1), concatenate(scores, 1))
