"""Which object each box of an image overlaps most, in bounded memory and without waiting."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Overlaps computed at a time; each takes about 32 bytes while it is.
CHUNK = 1 << 21
SMALL = 1e-30  # a union that keeps 0 / 0 from being computed


@dataclass(frozen=True, eq=False)
class Matches:
    """The best of all objects for every box, and the best of all boxes for every object."""

    overlap: Tensor  # (N, P) best IoU; 0 where nothing overlaps
    truth: Tensor  # (N, P) whose it is, the first of equals; T where nothing overlaps
    box: Tensor  # (T,) the box that an object overlaps most, the first of equals
    box_overlap: Tensor  # (T,) by how much


@torch.no_grad()
def best_overlaps(boxes: Tensor, objects: Tensor, image: Tensor) -> Tensor:
    """How much the boxes of each image overlap its objects, at most.

    Args:
        boxes: (N, P, 4) xyxy.
        objects: (T, 4) xyxy in the same unit.
        image: (T,) the image of each.

    Returns:
        (N, P) IoU; 0 where nothing overlaps.
    """
    best = boxes.new_zeros(boxes.shape[:2])
    sides = [side.contiguous() for side in boxes.unbind(dim=-1)]
    step = max(1, CHUNK // max(1, boxes.shape[1]))
    for start in range(0, len(objects), step):
        part = image[start : start + step]
        overlap = _overlaps([side[part] for side in sides], objects[start : start + step])
        best.scatter_reduce_(0, part[:, None].expand_as(overlap), overlap, "amax")
    return best


@torch.no_grad()
def match_boxes(boxes: Tensor, objects: Tensor, image: Tensor, *, images: int) -> Matches:
    """Match boxes that are the same in every image, anchors, with the objects of each.

    Args:
        boxes: (P, 4) xyxy.
        objects: (T, 4) xyxy in the same unit; one without area overlaps nothing.
        image: (T,) the image of each.
        images: N.
    """
    count = len(objects)
    best = boxes.new_zeros(images, len(boxes))
    truth = torch.full((images, len(boxes)), count, device=boxes.device)
    sides = [side.contiguous() for side in boxes.unbind(dim=-1)]
    places, overlaps = [truth.new_zeros(0)], [best.new_zeros(0)]
    step = max(1, CHUNK // max(1, len(boxes)))
    for start in range(0, count, step):
        part = image[start : start + step]
        overlap = _overlaps(sides, objects[start : start + step])
        index = part[:, None].expand_as(overlap)
        better = best.scatter_reduce(0, index, overlap, "amax")
        number = torch.arange(start, start + len(part), device=boxes.device)[:, None]
        holder = torch.where(overlap == better[part], number, count)
        first = torch.full_like(truth, count).scatter_reduce_(0, index, holder, "amin")
        truth = torch.where(better > best, first, truth)
        best = better
        most, place = overlap.max(dim=1)
        places.append(place)
        overlaps.append(most)
    return Matches(best, truth, torch.cat(places), torch.cat(overlaps))


def _overlaps(sides: Sequence[Tensor], objects: Tensor) -> Tensor:
    """IoU of objects with boxes, for millions of pairs: few passes, and in place.

    Args:
        sides: left, top, right and bottom of the boxes, (P,) or (T, P) each.
        objects: (T, 4) xyxy.

    Returns:
        (T, P).
    """
    left, top, right, bottom = sides
    from_left, from_top, to_right, to_bottom = objects[:, :, None].unbind(dim=1)
    width = torch.minimum(right, to_right).sub_(torch.maximum(left, from_left)).clamp_(min=0)
    height = torch.minimum(bottom, to_bottom).sub_(torch.maximum(top, from_top)).clamp_(min=0)
    overlap = width.mul_(height)
    own = (to_right - from_left).clamp(min=0) * (to_bottom - from_top).clamp(min=0)
    union = ((right - left) * (bottom - top) + own).sub_(overlap).clamp_(min=SMALL)
    return overlap.div_(union)
