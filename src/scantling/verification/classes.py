"""Classes in another order: found from the numbers, applied, and put into words."""

from collections.abc import Sequence

import numpy as np

from ..engines.files import layout_of
from ..specs.metadata import Metadata
from ..structures import FloatArray, IntArray
from .distance import Output


def fit_classes(expected: FloatArray, given: FloatArray) -> IntArray | None:
    """Match columns of `given` to classes, from the numbers alone.

    Args:
        expected: (P, K) scores of the reference.
        given: (P, K) scores of the candidate.

    Returns:
        (K,) the column of `given` that holds each class; None if every column is in its place.
    """
    if expected.shape != given.shape or expected.shape[1] < 2:
        return None
    a = expected - expected.mean(axis=0)
    b = np.nan_to_num(given) - np.nan_to_num(given).mean(axis=0)
    means = expected.mean(axis=0)[:, None] - np.nan_to_num(given).mean(axis=0)[None]
    cost = np.square(a).mean(axis=0)[:, None] + np.square(b).mean(axis=0)[None]
    cost = cost - 2 * (a.T @ b) / len(a) + np.square(means)
    # columns that are as near in their own place stay there
    np.fill_diagonal(cost, 0.9 * cost.diagonal() - 1e-9)
    count = len(cost)
    columns = np.full(count, -1, np.int64)
    taken = np.zeros(count, bool)
    for flat in np.argsort(cost, axis=None, kind="stable").tolist():
        row, column = divmod(flat, count)
        if columns[row] < 0 and not taken[column]:
            columns[row], taken[column] = column, True
    return None if (columns == np.arange(count)).all() else columns


def reorder(output: Output, columns: IntArray, metadata: Metadata, *, raw: bool) -> Output:
    """Move class c of an output to column `columns[c]`.

    Args:
        output: of the reference.
        columns: (K,) as `fit_classes` finds them.
        metadata: of the model.
        raw: raw predictions are reordered too.
    """
    scores = np.empty_like(output.scores)
    scores[:, columns] = output.scores
    changed = tuple(output.raw)
    if raw and output.raw:
        count, first = len(metadata.levels), layout_of(metadata).first_class
        moved = [  # the maps that hold classes come first
            _move_classes(maps, len(level.anchors), first, columns)
            for maps, level in zip(output.raw, metadata.levels, strict=False)
        ]
        changed = (*moved, *output.raw[count:])
    return Output(output.boxes, scores, changed)


def _move_classes(maps: FloatArray, anchors: int, first: int, columns: IntArray) -> FloatArray:
    values = maps.reshape(anchors, -1, *maps.shape[1:]).copy()
    values[:, first + columns] = values[:, first:].copy()
    return values.reshape(maps.shape)


def describe_order(columns: IntArray, names: Sequence[str]) -> str:
    """The classes that are out of place, in words."""
    moved = np.flatnonzero(columns != np.arange(len(columns)))
    steps = {int(step) for step in (columns - np.arange(len(columns))) % len(columns)}
    shown = ", ".join(f"{names[c]} in the place of {names[columns[c]]}" for c in moved[:3].tolist())
    if len(steps) == 1:
        (step,) = steps
        by = step if step <= len(columns) // 2 else step - len(columns)
        return f"every class is shifted by {by}: {shown}, …"
    more = f" and {len(moved) - 3} more" if len(moved) > 3 else ""
    return f"{len(moved)} of {len(columns)} classes are out of place: {shown}{more}"
