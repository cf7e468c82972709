"""EfficientDet's matcher and loss: every anchor has the object it overlaps most, or background.

Papers: EfficientDet, https://arxiv.org/abs/1911.09070; focal loss,
https://arxiv.org/abs/1708.02002.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..boxes import cxcywh_to_xyxy, xyxy_to_cxcywh
from ..errors import InvalidValue
from ..heads.efficientdet_decoding import cell_anchors, decode_offsets
from ..specs.level import Level
from ..structures import LossTerms, Targets
from .elements import (
    SIMILARITIES,
    at_least_float32,
    background_focal,
    check_coding,
    hardest,
    huber,
    identity,
    match_boxes,
    mean_over_processes,
)
from .settings import EfficientDetSettings

KEPT_SIZES = 64  # image sizes whose anchors are remembered


@dataclass(frozen=True, eq=False)
class _Assigned:
    """The targets of every anchor of every image."""

    positive: Tensor  # (N, P) bool: it has an object
    counts: Tensor  # (N, P) bool: it is not ignored
    label: Tensor  # (N, P); 0 where there is no object
    box: Tensor  # (N, P, 4) xyxy of the object; the anchor itself where there is none


class EfficientDetLoss(nn.Module):
    """EfficientDet's rule: focal loss on every anchor's classes, Huber loss on the positive boxes.

    All is divided by the positives of the batch plus one. Two things differ from the published
    code: an object that overlaps no anchor at all is not forced onto the first, and an offset that
    should be exactly 0 is learned like any other.

    Args:
        levels: finest first.
        num_classes: K.
        settings: of the loss.

    Raises:
        InvalidValue: boxes are not offsets to anchors.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        num_classes: int,
        settings: EfficientDetSettings | None = None,
    ) -> None:
        super().__init__()
        settings = settings or EfficientDetSettings()
        check_coding(settings.kind, levels, ("offset",))
        self.settings = settings
        self.num_classes = num_classes
        self.levels = tuple(levels)
        self._anchors: dict[tuple[object, ...], Tensor] = {}

    def forward(
        self,
        raw: Sequence[Tensor],
        targets: Targets,
        image_size: tuple[int, int],
        *,
        all_reduce: Callable[[Tensor], Tensor] = identity,
    ) -> LossTerms:
        """The loss of raw predictions; see `Loss`. Objectness is 0: this head has none.

        Args:
            raw: class logits of every level, then boxes of every level.
            targets, image_size, all_reduce: see `Loss`.
        """
        count = len(self.levels)
        logits, offsets = raw[:count], raw[count:]
        anchors = self._all_anchors(offsets, image_size)
        assigned = self._assign(targets, anchors, len(raw[0]))
        positives, processes = mean_over_processes(assigned.positive.sum()[None], all_reduce)
        divisor = positives[0] + 1 / processes  # plus one in the joint batch: never 0
        classes = self._classes(logits, assigned) / divisor
        box = self.settings.box_gain * self._box(offsets, anchors, assigned) / divisor
        return LossTerms(box, torch.zeros_like(box), classes, total=box + classes)

    def _all_anchors(self, offsets: Sequence[Tensor], image_size: tuple[int, int]) -> Tensor:
        """(P, 4) centre x, centre y, width, height in pixels, remembered for each image size."""
        key = (image_size, offsets[0].device, *(level.shape[-2:] for level in offsets))
        if key not in self._anchors:
            if len(self._anchors) >= KEPT_SIZES:
                self._anchors.clear()
            levels = zip(self.levels, offsets, strict=True)
            parts = [cell_anchors(raw, level, image_size) for level, raw in levels]
            self._anchors[key] = torch.cat(parts)
        return self._anchors[key]

    @torch.no_grad()
    def _assign(self, targets: Targets, anchors: Tensor, images: int) -> _Assigned:
        """Give every anchor an object, background, or neither."""
        device = anchors.device
        boxes = targets.boxes.to(device, non_blocking=True).float()
        labels = targets.labels.to(device, non_blocking=True)
        image = targets.image_index.to(device, non_blocking=True)
        corners, count = cxcywh_to_xyxy(anchors), len(boxes)
        found = match_boxes(corners, boxes, image, images=images)
        truth, positive = found.truth, found.overlap >= self.settings.positive_iou
        if self.settings.force_match:
            number = torch.arange(count, device=device)
            number = torch.where(found.box_overlap > 0, number, count)
            forced = torch.full_like(truth, count).flatten()
            forced.scatter_reduce_(0, image * len(anchors) + found.box, number, "amin")
            forced = forced.view_as(truth)
            truth = torch.where(forced < count, forced, truth)
            positive = positive | (forced < count)
        positive = positive & (truth < count)
        labels = torch.cat([labels, labels.new_zeros(1)])
        boxes = torch.cat([boxes, boxes.new_zeros(1, 4)])
        return _Assigned(
            positive,
            positive | (found.overlap < self.settings.negative_iou),
            torch.where(positive, labels[truth], 0),
            torch.where(positive[:, :, None], boxes[truth], corners),
        )

    def _classes(self, logits: Sequence[Tensor], assigned: _Assigned) -> Tensor:
        """The class term, summed over the anchors that count."""
        sizes = [
            level.shape[-2] * level.shape[-1] * len(own.anchors)
            for level, own in zip(logits, self.levels, strict=True)
        ]
        parts = zip(
            logits,
            torch.split(assigned.positive, sizes, dim=1),
            torch.split(assigned.label, sizes, dim=1),
            strict=True,
        )
        losses = torch.cat([self._level_classes(*part) for part in parts], dim=1)
        weight = assigned.counts.to(losses.dtype)
        if self.settings.hard_negatives is not None:
            negative = (losses * weight).detach()
            weight = weight * hardest(
                negative, assigned.positive, share=self.settings.hard_negatives
            )
        return (losses * weight).sum()

    def _level_classes(self, logits: Tensor, positive: Tensor, label: Tensor) -> Tensor:
        """(N, A · K, H, W) of a level → (N, H · W · A) the class loss of each anchor.

        Every class of every anchor costs what background does; then the object's own class of a
        positive anchor is put right. Targets of the size of the logits are never made.
        """
        images, channels, rows, columns = logits.shape
        if channels % self.num_classes:
            raise InvalidValue("class channels", channels, f"a multiple of {self.num_classes}")
        anchors = channels // self.num_classes
        values = at_least_float32(logits).view(images, anchors, self.num_classes, rows, columns)
        place = label.view(images, rows, columns, anchors).permute(0, 3, 1, 2)[:, :, None]
        own = values.gather(2, place)[:, :, 0]
        losses = self._background(values).sum(2)
        change = self._object(own) - self._background(own)
        losses = losses.permute(0, 2, 3, 1).reshape(images, -1)
        change = change.permute(0, 2, 3, 1).reshape(images, -1)
        return losses + torch.where(positive, change, 0)

    def _background(self, logits: Tensor) -> Tensor:
        """Focal loss where a class should be 0."""
        settings = self.settings
        return background_focal(
            logits,
            alpha=settings.focal_alpha,
            gamma=settings.focal_gamma,
            target=settings.label_smoothing / 2,
        )

    def _object(self, logits: Tensor) -> Tensor:
        """Focal loss where a class should be 1."""
        settings = self.settings
        weight = settings.focal_alpha * (settings.focal_gamma * F.logsigmoid(-logits)).exp()
        return weight * (F.softplus(-logits) + settings.label_smoothing / 2 * logits)

    def _box(self, offsets: Sequence[Tensor], anchors: Tensor, assigned: _Assigned) -> Tensor:
        """The box term, summed over the positive anchors."""
        rows = [level.permute(0, 2, 3, 1).reshape(len(level), -1, 4) for level in offsets]
        predicted = at_least_float32(torch.cat(rows, dim=1))
        kind = self.settings.box_loss
        if kind in ("huber", "mse"):
            errors = predicted - encode_boxes(assigned.box, anchors)
            delta = self.settings.huber_delta if kind == "huber" else float("inf")
            losses = huber(errors, delta).mean(dim=2)
        else:
            boxes = decode_offsets(predicted, anchors)
            losses = 1 - SIMILARITIES[kind](boxes, assigned.box)
        return torch.where(assigned.positive, losses, 0).sum()


def encode_boxes(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Offsets of boxes to anchors: the inverse of `decode_offsets`.

    Args:
        boxes: (N, P, 4) xyxy.
        anchors: (P, 4) centre x, centre y, width, height, in the same unit.

    Returns:
        (N, P, 4) y and x in anchor sizes, then log of height and width over the anchor's.
    """
    inside = xyxy_to_cxcywh(boxes)
    centre = (inside[..., :2] - anchors[:, :2]) / anchors[:, 2:]
    size = (inside[..., 2:] / anchors[:, 2:]).log()
    return torch.cat([centre.flip(-1), size.flip(-1)], dim=-1)
