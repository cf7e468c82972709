"""The loss of the third kind of head, in one file: its settings, its targets, its terms.

An object belongs to the cell whose anchor it overlaps most. Focal loss on all classes,
https://arxiv.org/abs/1708.02002; 1 − GIoU on the boxes of those cells.
"""

from typing import Literal

import torch
from centre_head import all_anchors, class_logits, decode_distances
from torch import nn

from scantling.boxes import cxcywh_to_xyxy, generalized_iou
from scantling.losses import BaseLossSettings, LossKind
from scantling.losses.elements import cross_entropy, focal_weight, identity, mean_over_processes
from scantling.losses.levels import check_coding
from scantling.losses.matching import match_boxes
from scantling.structures import LossTerms


class CentreSettings(BaseLossSettings):
    kind: Literal["centre"] = "centre"
    box_gain: float = 2.0
    focal_gamma: float = 2.0


class CentreLoss(nn.Module):
    def __init__(self, levels, num_classes, settings):
        super().__init__()
        check_coding(settings.kind, levels, ("distances",))
        self.levels, self.num_classes, self.settings = tuple(levels), num_classes, settings

    def forward(self, raw, targets, image_size, *, all_reduce=identity):
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
