"""The loss of the third kind of head, in one file: its settings, its targets, its terms.

An object belongs to the cell whose anchor it overlaps most. Focal loss on all classes,
https://arxiv.org/abs/1708.02002; 1 − GIoU on the boxes of those cells.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from centre_head import all_anchors, class_logits, decode_distances
from torch import Tensor, nn

from scantling.boxes import cxcywh_to_xyxy, generalized_iou
from scantling.losses import BaseLossSettings, LossKind
from scantling.losses.elements import (
    check_coding,
    cross_entropy,
    focal_weight,
    identity,
    match_boxes,
    mean_over_processes,
)
from scantling.specs.level import Level
from scantling.structures import LossTerms, Targets


class CentreSettings(BaseLossSettings):
    """What `loss.…` sets in a recipe."""

    kind: Literal["centre"] = "centre"
    box_gain: float = 2.0
    focal_gamma: float = 2.0


class CentreLoss(nn.Module):
    """Focal loss over all cells, GIoU loss over those that have an object."""

    def __init__(self, levels: Sequence[Level], num_classes: int, settings: CentreSettings) -> None:
        super().__init__()
        check_coding(settings.kind, levels, ("distances",))
        self.levels, self.num_classes, self.settings = tuple(levels), num_classes, settings

    def forward(
        self,
        raw: Sequence[Tensor],
        targets: Targets,
        image_size: tuple[int, int],
        *,
        all_reduce: Callable[[Tensor], Tensor] = identity,
    ) -> LossTerms:
        """See `scantling.losses.Loss`."""
        boxes = decode_distances(raw, self.levels, image_size).boxes
        logits = class_logits(raw, self.levels)
        anchors = cxcywh_to_xyxy(all_anchors(raw, self.levels, image_size))
        place = match_boxes(anchors, targets.boxes, targets.image_index, images=len(boxes)).box
        assigned = (targets.image_index, place)

        wanted = torch.zeros_like(logits)
        wanted[(*assigned, targets.labels)] = 1
        weight = focal_weight(logits, wanted, alpha=0.25, gamma=self.settings.focal_gamma)
        overlap = generalized_iou(boxes[assigned], targets.boxes)

        counts = torch.tensor([len(place)], device=logits.device)
        divisor = mean_over_processes(counts, all_reduce)[0][0].clamp(min=1)
        classes = (weight * cross_entropy(logits, wanted)).sum() / divisor
        box = self.settings.box_gain * (1 - overlap).sum() / divisor
        return LossTerms(box, torch.zeros_like(box), classes, total=box + classes)


CENTRE_LOSS = LossKind(CentreSettings, CentreLoss)
