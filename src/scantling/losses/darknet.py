"""Darknet's target assignment and loss, for the YOLO layers of a cfg and for native YOLO heads.

An object is assigned to the anchor whose shape fits best among those of all levels, and to every
other whose shape fits well, at the cell of its centre. A prediction that overlaps an object without
being assigned to it is ignored: neither background nor object. Paper: YOLOv4, https://arxiv.org/abs/2004.10934.

Darknet writes gradients, not losses. Each term here has darknet's gradient, for the mean over the
images; where that is the gradient of a known loss (cross-entropy of logits; half the squared error
after a logistic convolution), the value is that loss's.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ..errors import InvalidValue
from ..specs.level import Level
from ..structures import LossTerms, Targets
from .darknet_level import DarknetLevel, LevelSettings, LevelTerms, shape_similarity
from .elements import check_coding, hardest, identity, mean_over_processes, per_level
from .grid import ObjectShares, read_objects
from .settings import DarknetSettings

# Settings that a cfg gives to each of its `[yolo]` sections.
PER_LEVEL = (
    "box_gain",
    "objectness_gain",
    "class_gain",
    "gain",
    "ignore_threshold",
    "match_threshold",
)


class DarknetLoss(nn.Module):
    """Darknet's rule. All anchors of all levels contend for an object.

    Where darknet's code cannot be meant, this loss does what is: with `smooth_objectness` a
    positive's target is 1 unless it overlaps an object by more than `ignore_threshold` (darknet's
    is 0, and a network from scratch would never find an object), and with label smoothing
    the box of a cell is divided by the classes of its objects (darknet: by all whose smoothed
    target exceeds their probability). `truth_thresh` below 1 is not offered.

    Args:
        levels: finest first.
        num_classes: K.
        settings: of the loss.

    Raises:
        InvalidValue: boxes are offsets to anchors, or a setting does not fit the levels or classes.
    """

    all_anchors: Tensor

    def __init__(
        self, levels: Sequence[Level], num_classes: int, settings: DarknetSettings | None = None
    ) -> None:
        super().__init__()
        settings = settings or DarknetSettings()
        check_coding(settings.kind, levels, ("exponential", "sigmoid"))
        if settings.class_weights and len(settings.class_weights) != num_classes:
            raise InvalidValue(
                "class_weights", settings.class_weights, f"{num_classes} numbers, one a class"
            )
        self.settings = settings
        served = [anchor for level in levels for anchor in level.anchors]
        different = list(dict.fromkeys([*served, *settings.other_anchors]))
        self.register_buffer("all_anchors", torch.tensor(different).float(), persistent=False)
        weights = settings.class_weights or (1.0,) * num_classes
        self.levels = nn.ModuleList(
            DarknetLevel(
                level,
                num_classes,
                own,
                numbers=[different.index(anchor) for anchor in level.anchors],
                class_weights=weights,
            )
            for level, own in zip(levels, _of_levels(settings, len(levels)), strict=True)
        )

    def forward(
        self,
        raw: Sequence[Tensor],
        targets: Targets,
        image_size: tuple[int, int],
        *,
        all_reduce: Callable[[Tensor], Tensor] = identity,
    ) -> LossTerms:
        """The loss of raw predictions; see `Loss`."""
        objects = read_objects(targets, image_size, raw[0].device)
        best = self._best_anchor(objects, image_size)
        found = [
            level(values, objects, best, image_size)
            for level, values in zip(self.levels, raw, strict=True)
        ]
        images = torch.full((1,), len(raw[0]), device=raw[0].device)
        divisor = mean_over_processes(images, all_reduce)[0][0]
        box = torch.stack([terms.box for terms in found]).sum() / divisor
        classes = torch.stack([terms.classes for terms in found]).sum() / divisor
        objectness = self._objectness(found) / divisor
        return LossTerms(box, objectness, classes, total=box + objectness + classes)

    def _best_anchor(self, objects: ObjectShares, image_size: tuple[int, int]) -> Tensor:
        """(T,) places in `all_anchors`, the first of equals."""
        height, width = image_size
        shares = torch.stack([self.all_anchors[:, 0] / width, self.all_anchors[:, 1] / height], 1)
        return shape_similarity("iou", shares, objects).argmax(dim=1)

    def _objectness(self, found: Sequence[LevelTerms]) -> Tensor:
        losses = torch.cat([terms.objectness for terms in found], dim=1)
        if self.settings.hard_negatives is None:
            return losses.sum()
        positive = torch.cat([terms.positive for terms in found], dim=1)
        return (losses * hardest(losses, positive, share=self.settings.hard_negatives)).sum()


def _of_levels(settings: DarknetSettings, levels: int) -> list[LevelSettings]:
    """The settings of each level."""

    def spread(name: str) -> tuple[float, ...]:
        return per_level(name, getattr(settings, name), levels)

    box, objectness, classes, gain, ignore, match = map(spread, PER_LEVEL)
    limit = float("inf") if settings.max_delta is None else settings.max_delta
    most = per_level("max_delta", limit, levels)
    smooth = per_level("smooth_objectness", settings.smooth_objectness, levels)
    return [
        LevelSettings(
            box_loss=settings.box_loss,
            box_gain=box[level],
            objectness_gain=objectness[level],
            class_gain=classes[level],
            gain=gain[level],
            ignore_threshold=ignore[level],
            match_threshold=match[level],
            match_similarity=settings.match_similarity,
            smooth_objectness=smooth[level],
            max_delta=most[level],
            label_smoothing=settings.label_smoothing,
            focal=settings.focal,
        )
        for level in range(levels)
    ]
