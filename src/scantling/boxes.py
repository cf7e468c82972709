"""Box geometry and the array operations of decoding, for torch tensors and NumPy arrays.

Area, the IoU family, conversion, clipping; then what the heads decode with. Each formula is written
once, in what the two libraries share, so that a board without torch gets the same numbers as a
training run. Papers: GIoU, https://arxiv.org/abs/1902.09630; DIoU and CIoU,
https://arxiv.org/abs/1911.08287.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

# A function gives back what it was given: array for array, tensor for tensor, in the same dtype.
Array = TypeVar("Array", NDArray[np.floating[Any]], "Tensor")


def area(boxes: Array) -> Array:
    """Area of each box, in the square of its unit.

    Args:
        boxes: (…, 4) xyxy.

    Returns:
        (…); 0 where a side is zero or negative.
    """
    inside: Array = _side(boxes, 0) * _side(boxes, 1)
    return inside


def iou(a: Array, b: Array) -> Array:
    """Intersection over union of boxes that stand at the same place.

    Args:
        a: (…, 4) xyxy.
        b: (…, 4) xyxy in the same unit; the leading shapes broadcast.

    Returns:
        (…), from 0 (disjoint) to 1 (equal). A box without area, or with a NaN, overlaps nothing.
    """
    overlap, union = _overlap_and_union(a, b)
    return _ratio(overlap, union)


def pairwise_iou(a: Array, b: Array) -> Array:
    """Intersection over union of every box in `a` with every box in `b`.

    Args:
        a: (M, 4) xyxy.
        b: (T, 4) xyxy, in the same unit.

    Returns:
        (M, T), from 0 (disjoint) to 1 (equal). A box without area overlaps nothing.

    >>> float(pairwise_iou(np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2]]))[0, 0])
    0.3333333333333333
    """
    return iou(a[:, None], b[None, :])


def generalized_iou(a: Array, b: Array) -> Array:
    """IoU less the share of the enclosing box that neither covers: it also tells how far apart.

    Args:
        a: (…, 4) xyxy.
        b: (…, 4) xyxy in the same unit; the leading shapes broadcast.

    Returns:
        (…), from −1 (far apart) to 1 (equal).
    """
    overlap, union = _overlap_and_union(a, b)
    width, height = _enclosing(a, b)
    hull = width * height
    found: Array = _ratio(overlap, union) - _ratio(hull - union, hull)
    return found


def distance_iou(a: Array, b: Array, *, beta: float = 1.0) -> Array:
    """IoU less how far apart the centres are, as a share of the enclosing box's diagonal.

    Args:
        a: (…, 4) xyxy.
        b: (…, 4) xyxy in the same unit; the leading shapes broadcast.
        beta: exponent of the squared share; 1 in the paper (equation 5), 0.6 in darknet's NMS. With
            any but 1 the gradient is not finite where the centres coincide.

    Returns:
        (…), from −1 (far apart) to 1 (equal).
    """
    share = _distance(a, b)
    found: Array = iou(a, b) - (share if beta == 1 else share**beta)
    return found


def complete_iou(a: Array, b: Array) -> Array:
    """Distance IoU less how much the shapes differ; 1 − this is the CIoU loss.

    Args:
        a: (…, 4) xyxy, the prediction.
        b: (…, 4) xyxy in the same unit, the target; the leading shapes broadcast.

    Returns:
        (…), 1 where the boxes are equal. The weight of the shape term (equation 11) counts as a
        constant for the gradient, as in the paper's own code: it is not to be optimised itself.
    """
    library = library_of(a)
    plain = iou(a, b)
    angle_a = library.arctan2(_side(a, 0), _side(a, 1))
    angle_b = library.arctan2(_side(b, 0), _side(b, 1))
    shape = (2 / math.pi * (angle_a - angle_b)) ** 2
    weight = _constant(_ratio(shape, 1 - plain + shape))
    found: Array = plain - _distance(a, b) - weight * shape
    return found


def xyxy_to_cxcywh(boxes: Array) -> Array:
    """(…, 4) left, top, right, bottom → centre x, centre y, width, height."""
    left, top, right, bottom = _columns(boxes)
    return _joined(boxes, (left + right) / 2, (top + bottom) / 2, right - left, bottom - top)


def cxcywh_to_xyxy(boxes: Array) -> Array:
    """(…, 4) centre x, centre y, width, height → left, top, right, bottom."""
    x, y, width, height = _columns(boxes)
    return _joined(boxes, x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def clip(boxes: Array, image_size: tuple[int, int]) -> Array:
    """Cut boxes off at the edge of the image; what lies outside loses its area.

    Args:
        boxes: (…, 4) xyxy in pixels.
        image_size: (height, width).
    """
    height, width = image_size
    left, top, right, bottom = _columns(boxes)
    return _joined(
        boxes,
        left.clip(0, width),
        top.clip(0, height),
        right.clip(0, width),
        bottom.clip(0, height),
    )


def library_of(array: Array) -> Any:
    """The module that `array` comes from; torch is imported only once a tensor exists."""
    if isinstance(array, np.ndarray):
        return np
    import torch

    return torch


def _columns(boxes: Array) -> tuple[Any, Any, Any, Any]:
    return boxes[..., 0], boxes[..., 1], boxes[..., 2], boxes[..., 3]


def _joined(like: Array, *columns: Any) -> Array:
    joined: Array = library_of(like).stack(columns, -1)
    return joined


def _side(boxes: Array, axis: int) -> Any:
    """Width (axis 0) or height (axis 1), never negative."""
    return (boxes[..., axis + 2] - boxes[..., axis]).clip(0)


def _overlap_and_union(a: Array, b: Array) -> tuple[Array, Array]:
    library = library_of(a)
    width = library.minimum(a[..., 2], b[..., 2]) - library.maximum(a[..., 0], b[..., 0])
    height = library.minimum(a[..., 3], b[..., 3]) - library.maximum(a[..., 1], b[..., 1])
    overlap = width.clip(0) * height.clip(0)
    return overlap, area(a) + area(b) - overlap


def _enclosing(a: Array, b: Array) -> tuple[Array, Array]:
    """Width and height of the smallest box around both."""
    library = library_of(a)
    width = library.maximum(a[..., 2], b[..., 2]) - library.minimum(a[..., 0], b[..., 0])
    height = library.maximum(a[..., 3], b[..., 3]) - library.minimum(a[..., 1], b[..., 1])
    return width, height


def _distance(a: Array, b: Array) -> Array:
    """Squared distance of the centres, as a share of the enclosing box's squared diagonal."""
    width, height = _enclosing(a, b)
    x = (a[..., 0] + a[..., 2] - b[..., 0] - b[..., 2]) / 2
    y = (a[..., 1] + a[..., 3] - b[..., 1] - b[..., 3]) / 2
    return _ratio(x * x + y * y, width * width + height * height)


def _ratio(part: Array, whole: Array) -> Array:
    """`part / whole`; 0 where there is no whole, for the value and for the gradient."""
    library = library_of(whole)
    exists = whole > 0
    ratio: Array = library.where(exists, part / library.where(exists, whole, 1.0), 0.0)
    return ratio


def _constant(array: Any) -> Any:
    """The same numbers, without their gradient."""
    return array if isinstance(array, np.ndarray) else array.detach()


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
