"""Scaled-YOLOv4's target assignment and loss.

An object is assigned to every anchor of every level that is at most four times larger or smaller,
at the cell of its centre and at up to two cells that the centre is near to.
Paper: Scaled-YOLOv4, https://arxiv.org/abs/2011.08036.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..boxes import cxcywh_to_xyxy
from ..errors import InvalidValue
from ..heads.yolo_decoding import BOX_VALUES
from ..specs.level import Level
from ..structures import LossTerms, Targets
from .elements import (
    SIMILARITIES,
    check_coding,
    cross_entropy,
    focal_weight,
    hardest,
    identity,
    mean_over_processes,
    smooth,
)
from .grid import ObjectShares, Rows, YoloGrid, cell_of, read_objects
from .settings import ScaledYolov4Settings

# Weight of each level's objectness, by the count of levels: fine levels have many more cells.
BALANCE = {
    1: (1.0,),
    2: (4.0, 1.0),
    3: (4.0, 1.0, 0.4),
    4: (4.0, 1.0, 0.4, 0.1),
    5: (4.0, 1.0, 0.5, 0.4, 0.1),
}


@dataclass(frozen=True, eq=False)
class _LevelTerms:
    """Loss terms of one level, before anything is divided."""

    box: Tensor  # scalar, summed over the positive rows
    classes: Tensor  # scalar, summed over the positive rows, mean over the classes
    objectness: Tensor  # (N, A · H · W)
    positive: Tensor  # (N, A · H · W) bool
    count: Tensor  # scalar, positive rows


class ScaledYolov4Loss(nn.Module):
    """Scaled-YOLOv4's rule. Where two objects are assigned to one prediction, both count.

    The objectness target of such a prediction is the larger overlap; the published code takes
    whichever it wrote last.

    Args:
        levels: finest first.
        num_classes: K. With one class there is no class term, as published.
        settings: of the loss.

    Raises:
        InvalidValue: boxes are offsets to anchors, or `level_balance` has not one value a level.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        num_classes: int,
        settings: ScaledYolov4Settings | None = None,
    ) -> None:
        super().__init__()
        settings = settings or ScaledYolov4Settings()
        check_coding(settings.kind, levels, ("exponential", "sigmoid"))
        self.settings = settings
        self.num_classes = num_classes
        self.balance = settings.level_balance or BALANCE.get(len(levels), ())
        if len(self.balance) != len(levels):
            raise InvalidValue("level_balance", self.balance, f"{len(levels)} numbers, one a level")
        self.grids = nn.ModuleList(YoloGrid(level, num_classes) for level in levels)

    def forward(
        self,
        raw: Sequence[Tensor],
        targets: Targets,
        image_size: tuple[int, int],
        *,
        all_reduce: Callable[[Tensor], Tensor] = identity,
    ) -> LossTerms:
        """The loss of raw predictions; see `Loss`."""
        settings = self.settings
        objects = read_objects(targets, image_size, raw[0].device)
        found = [
            self._level(grid, level, objects, image_size)
            for grid, level in zip(self.grids, raw, strict=True)
            if isinstance(grid, YoloGrid)
        ]
        images = torch.full((), len(raw[0]), device=raw[0].device)
        counts = torch.stack([*(level.count for level in found), images])
        divisors = mean_over_processes(counts, all_reduce)[0]
        rows = torch.where(divisors[:-1] > 0, divisors[:-1], 1)
        box = (torch.stack([level.box for level in found]) / rows).sum()
        classes = (torch.stack([level.classes for level in found]) / rows).sum()
        objectness = self._objectness(found) / divisors[-1]

        # the published gains are for three levels and COCO's 80 classes
        gain = settings.gain * 3 / len(found)
        many = 1.4 if len(found) >= 4 else 1.0
        box = box * settings.box_gain * gain
        objectness = objectness * settings.objectness_gain * gain * many
        classes = classes * settings.class_gain * gain * self.num_classes / 80
        return LossTerms(box, objectness, classes, total=box + objectness + classes)

    def _level(
        self, grid: YoloGrid, raw: Tensor, objects: ObjectShares, image_size: tuple[int, int]
    ) -> _LevelTerms:
        """Loss terms of one level."""
        values = grid.split(raw)
        size = (values.shape[-2], values.shape[-1])
        rows = self._assign(grid, objects, size, image_size)
        row_values, objectness = grid.read(values, rows)
        logits = objectness.flatten(1)
        box, overlap = self._box(grid, row_values[:, :4], objects, rows, size, image_size)
        target = logits.new_zeros(logits.numel())
        place = rows.cell(values.shape[1], *size)
        share = self.settings.iou_share
        # objectness predicts the IoU reached: YOLO, https://arxiv.org/abs/1506.02640, section 2
        confidence = (1 - share) + share * overlap.detach().clamp(min=0)
        target.scatter_reduce_(0, place, torch.where(rows.positive, confidence, 0), "amax")
        positive = torch.zeros_like(target)
        positive.scatter_reduce_(0, place, rows.positive.to(target.dtype), "amax")
        objectness = self._cross_entropy(
            logits, target.view_as(logits), self.settings.objectness_positive_weight
        )
        return _LevelTerms(
            torch.where(rows.positive, box, 0).sum(),
            self._classes(row_values[:, BOX_VALUES:], objects, rows),
            objectness,
            positive.view_as(logits) > 0,
            rows.positive.sum(),
        )

    def _assign(
        self,
        grid: YoloGrid,
        objects: ObjectShares,
        size: tuple[int, int],
        image_size: tuple[int, int],
    ) -> Rows:
        """Three rows for each object and anchor: its cell, and a neighbour on each axis."""
        ratio = objects.boxes[:, None, 2:] / grid.anchor_shares(image_size)
        fits = torch.maximum(ratio, 1 / ratio).amax(2) < self.settings.anchor_ratio
        row, column = cell_of(objects, size)
        across = self._neighbour(objects.boxes[:, 0] * size[1], size[1])
        down = self._neighbour(objects.boxes[:, 1] * size[0], size[0])
        count, anchors = fits.shape
        near = torch.stack([torch.ones_like(objects.valid), across != 0, down != 0], dim=1)
        positive = fits[:, :, None] & near[:, None] & objects.valid[:, None, None]
        columns = torch.stack([column, column + across, column], dim=1).clamp(0, size[1] - 1)
        lines = torch.stack([row, row, row + down], dim=1).clamp(0, size[0] - 1)
        shape = (count, anchors, 3)
        truth = torch.arange(count, device=row.device).repeat_interleave(3 * anchors)
        anchor = torch.arange(anchors, device=row.device)
        return Rows(
            positive=positive.flatten(),
            truth=truth,
            image=objects.image[truth],
            anchor=anchor[None, :, None].expand(shape).flatten(),
            row=lines[:, None].expand(shape).flatten(),
            column=columns[:, None].expand(shape).flatten(),
        )

    def _neighbour(self, centre: Tensor, cells: int) -> Tensor:
        """(T,) −1 or 1 where the cell before or after is near enough and exists, else 0."""
        within = centre - centre.floor()
        offset = self.settings.offset
        # with scale_xy 2 a centre reaches from −0.5 to 1.5 cells: the neighbour can predict it too
        before = (within < offset) & (centre > 1)
        after = (within > 1 - offset) & (cells - centre > 1)
        return after.long() - before.long()

    def _box(
        self,
        grid: YoloGrid,
        values: Tensor,
        objects: ObjectShares,
        rows: Rows,
        size: tuple[int, int],
        image_size: tuple[int, int],
    ) -> tuple[Tensor, Tensor]:
        """(R,) the box term of each row, and how much it overlaps its object."""
        shares = grid.anchor_shares(image_size)
        target_boxes = objects.boxes[rows.truth]
        boxes = _pixels(grid.place(values, rows, shares, size), image_size)
        kind = "iou" if self.settings.box_loss == "mse" else self.settings.box_loss
        overlap = SIMILARITIES[kind](boxes, _pixels(target_boxes, image_size))
        if self.settings.box_loss != "mse":
            return 1 - overlap, overlap
        error = grid.encode(target_boxes, rows, shares, size) - grid.activate(values)
        return (2 - target_boxes[:, 2] * target_boxes[:, 3]) * error.square().sum(dim=1), overlap

    def _classes(self, logits: Tensor, objects: ObjectShares, rows: Rows) -> Tensor:
        """The class term, summed over the positive rows."""
        if self.num_classes == 1:
            return logits.sum() * 0
        labels = objects.labels[rows.truth]
        target = torch.zeros_like(logits).scatter_(1, labels[:, None], 1.0)
        losses = self._cross_entropy(
            logits,
            smooth(target, self.settings.label_smoothing),
            self.settings.class_positive_weight,
        )
        return torch.where(rows.positive, losses.mean(dim=1), 0).sum()

    def _cross_entropy(self, logits: Tensor, targets: Tensor, positive_weight: float) -> Tensor:
        losses = cross_entropy(logits, targets, positive_weight=positive_weight)
        settings = self.settings
        if settings.focal_gamma > 0:
            losses = losses * focal_weight(
                logits, targets, alpha=settings.focal_alpha, gamma=settings.focal_gamma
            )
        return losses

    def _objectness(self, found: Sequence[_LevelTerms]) -> Tensor:
        """The objectness term, summed over the images."""
        losses = [level.objectness for level in found]
        share = self.settings.hard_negatives
        if share is not None:
            positive = torch.cat([level.positive for level in found], dim=1)
            kept = hardest(torch.cat(losses, dim=1), positive, share=share)
            parts = torch.split(kept, [level.shape[1] for level in losses], dim=1)
            losses = [level * part for level, part in zip(losses, parts, strict=True)]
        means = [
            weight * level.sum() / level.shape[1]
            for weight, level in zip(self.balance, losses, strict=True)
        ]
        return torch.stack(means).sum()


def _pixels(boxes: Tensor, image_size: tuple[int, int]) -> Tensor:
    """(R, 4) centre x, centre y, width, height in shares of the image → xyxy in pixels."""
    height, width = image_size
    x, y, w, h = boxes.unbind(dim=-1)
    return cxcywh_to_xyxy(torch.stack([x * width, y * height, w * width, h * height], dim=-1))
