"""Darknet's box terms: it writes their gradients by hand, which are not those of its loss.

It takes the gradient of an overlap in shares of the image and hands it to raw values as it is,
without the slope of the logistic function or the size of a cell. A loss with that gradient is made
here: its value is the overlap's, its gradient what darknet writes.
"""

import math

import torch
from torch import Tensor

from ..boxes import cxcywh_to_xyxy, distance_iou, iou
from .elements import SIMILARITIES
from .grid import Rows, YoloGrid


def similarity(kind: str, predicted: Tensor, objects: Tensor) -> Tensor:
    """Similarity of boxes as darknet has it.

    DIoU has the exponent 0.6; the gradient of CIoU's angle lacks 1 / (w² + h²).

    Args:
        kind: `iou`, `giou`, `diou` or `ciou`.
        predicted, objects: (…, 4) centre x, centre y, width, height in shares of the image.
    """
    corners, object_corners = cxcywh_to_xyxy(predicted), cxcywh_to_xyxy(objects)
    if kind == "diou":
        return distance_iou(corners, object_corners, beta=0.6)
    if kind != "ciou":
        return SIMILARITIES[kind](corners, object_corners)
    width, height = predicted[..., 2], predicted[..., 3]
    angle = torch.atan2(width, height)
    steeper = angle * (width.square() + height.square()).detach()
    angle = angle.detach() + steeper - steeper.detach()
    target = torch.atan2(objects[..., 2], objects[..., 3])
    shape = (2 / math.pi * (target - angle)).square()
    weight = (shape / (1 - iou(corners, object_corners) + shape + 1e-6)).detach()
    return distance_iou(corners, object_corners) - weight * shape


def overlap_term(
    grid: YoloGrid,
    values: Tensor,
    objects: Tensor,
    rows: Rows,
    image_size: tuple[int, int],
    size: tuple[int, int],
    *,
    kind: str,
    weight: Tensor,
    max_delta: float,
) -> Tensor:
    """A loss of each row that falls as boxes overlap more.

    Args:
        grid: of the level.
        values: (R, 4) raw.
        objects: (R, 4) centre x, centre y, width, height in shares of the image.
        rows: where they stand.
        image_size: (height, width) of the network's input.
        size: (H, W) of the level.
        kind: the similarity.
        weight: (R,) of each row.
        max_delta: the most by which the gradient of a raw value may differ from 0.

    Returns:
        (R,) weight · (1 − similarity), whose gradient is darknet's.
    """
    shares = grid.anchor_shares(image_size)
    boxes = grid.place(values.detach(), rows, shares, size)
    if not torch.is_grad_enabled():
        return weight * (1 - similarity(kind, boxes, objects))
    with torch.enable_grad():
        leaf = boxes.clone().requires_grad_()
        overlap = similarity(kind, leaf, objects)
        (slope,) = torch.autograd.grad(overlap.sum(), leaf)
    if grid.exponential:
        factors = [torch.ones_like(values[:, :2]), values[:, 2:].detach().exp()]
        slope = slope * torch.cat(factors, dim=1)
    delta = (slope * weight[:, None]).nan_to_num(0.0).clamp(-max_delta, max_delta)
    return with_gradient(weight * (1 - overlap.detach()), delta, _carrier(grid, values))


def squared_term(
    grid: YoloGrid,
    values: Tensor,
    objects: Tensor,
    rows: Rows,
    image_size: tuple[int, int],
    size: tuple[int, int],
    *,
    weight: Tensor,
) -> Tensor:
    """A loss of each row that is the squared error of its box, more for small objects.

    Args:
        grid, values, objects, rows, image_size, size, weight: as in `overlap_term`.

    Returns:
        (R,) weight · (2 − w · h) / 2 · Σ (wanted − value)², whose gradient is darknet's.
    """
    wanted = grid.encode(objects, rows, grid.anchor_shares(image_size), size)
    scale = weight * (2 - objects[:, 2] * objects[:, 3])
    error = wanted - grid.activate(values.detach())
    value = scale * error.square().sum(dim=1) / 2
    return with_gradient(value, scale[:, None] * error, _carrier(grid, values))


def with_gradient(value: Tensor, delta: Tensor, carrier: Tensor) -> Tensor:
    """`value`, with the gradient −`delta` to `carrier`.

    Args:
        value: (R,).
        delta: (R, 4), what a step should add.
        carrier: (R, 4).
    """
    return value.detach() - (delta.detach() * (carrier - carrier.detach())).sum(dim=1)


def _carrier(grid: YoloGrid, values: Tensor) -> Tensor:
    """What darknet's deltas are added to: raw values, or what a logistic convolution gives."""
    return values if grid.exponential else grid.sigma(values)
