"""The settings of every loss, as frozen data: recipes and cfg files fill them in, without torch."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ..errors import InvalidValue
from ..specs.frozen import Frozen
from ..specs.level import Anchor

Share = Annotated[float, Field(ge=0, le=1)]
Gain = Annotated[float, Field(ge=0)]
Above = Annotated[float, Field(gt=0)]
PerLevel = Gain | tuple[Gain, ...]  # one value for all levels, or one a level, finest first
BoxLoss = Literal["mse", "iou", "giou", "diou", "ciou"]
BoxSimilarity = Literal["iou", "giou", "diou", "ciou"]


class BaseLossSettings(Frozen):
    """The settings of some loss.

    Args:
        kind: a name in `scantling.losses.LOSSES`.
    """

    kind: str


class DarknetSettings(BaseLossSettings):
    """Darknet's rule, with the names of its `[yolo]` options beside ours.

    Args:
        box_loss: `iou_loss`. `diou` has darknet's exponent of 0.6.
        box_gain: `iou_normalizer`.
        objectness_gain: `obj_normalizer`.
        class_gain: of all class terms. Darknet's `cls_normalizer` does nothing without
            `counters_per_class`: from a cfg without them, leave this at 1.
        gain: `delta_normalizer`, of everything.
        ignore_threshold: `ignore_thresh`. A prediction that overlaps any object by more is not
            trained to be background.
        match_threshold: `iou_thresh`. Besides the anchor of the best shape, those whose shape
            overlaps an object's by more are its own too; 1 for the best alone.
        match_similarity: `iou_thresh_kind`, for the shapes.
        smooth_objectness: `objectness_smooth`. The target of what would be ignored is its overlap.
        max_delta: `max_delta`, the most that an object moves a raw box value by; None: no limit.
        label_smoothing: `label_smooth_eps`.
        focal: `focal_loss`, with darknet's α of 0.5 and γ of 2.
        class_weights: of each class, from `class_weights_of`; empty: every class has weight 1.
        other_anchors: (width, height) of anchors that no level has. An object that one of them
            fits best has no best anchor; yolov4-tiny's (10, 14) is one.
        hard_negatives: keep, in each image, only this many of the negatives that are most wrong
            per positive one; None for all.
    """

    kind: Literal["darknet"] = "darknet"
    box_loss: BoxLoss = "ciou"
    box_gain: PerLevel = 0.07
    objectness_gain: PerLevel = 1.0
    class_gain: PerLevel = 1.0
    gain: PerLevel = 1.0
    ignore_threshold: PerLevel = 0.7
    match_threshold: PerLevel = 0.213
    match_similarity: BoxSimilarity = "iou"
    smooth_objectness: bool | tuple[bool, ...] = False
    max_delta: PerLevel | None = None
    label_smoothing: Share = 0.0
    focal: bool = False
    class_weights: tuple[Above, ...] = ()
    other_anchors: tuple[Anchor, ...] = ()
    hard_negatives: Above | None = None


class ScaledYolov4Settings(BaseLossSettings):
    """Scaled-YOLOv4's rule.

    Args:
        box_loss: `ciou` in the published recipes.
        box_gain, objectness_gain, class_gain: of the three terms (`box`, `obj`, `cls`), before
            the corrections for the count of levels and of classes.
        gain: of the sum. The published code adds up the images of a nominal batch of 64, with a
            learning rate to match; here the terms are means over the batch, and this is that 64.
        anchor_ratio: how many times wider, narrower, higher or lower than an anchor an object of
            it may be (`anchor_t`).
        offset: how near to a neighbouring cell, in cells, an object's centre must be for that cell
            to be assigned it as well.
        level_balance: weight of each level's objectness; empty for the published one.
        iou_share: how much of an objectness target is the overlap that was reached (`gr`); the
            rest is 1.
        label_smoothing: ε; targets become 1 − ε/2 and ε/2.
        class_positive_weight, objectness_positive_weight: of what should be 1 (`cls_pw`, `obj_pw`).
        focal_gamma, focal_alpha: focal loss on classes and objectness, where γ is above 0.
        hard_negatives: as darknet's.
    """

    kind: Literal["scaled-yolov4"] = "scaled-yolov4"
    box_loss: BoxLoss = "ciou"
    box_gain: Gain = 0.05
    objectness_gain: Gain = 1.0
    class_gain: Gain = 0.5
    gain: Gain = 64.0
    anchor_ratio: Annotated[float, Field(gt=1)] = 4.0
    offset: Annotated[float, Field(ge=0, le=0.5)] = 0.5
    level_balance: tuple[Gain, ...] = ()
    iou_share: Share = 1.0
    label_smoothing: Share = 0.0
    class_positive_weight: Above = 1.0
    objectness_positive_weight: Above = 1.0
    focal_gamma: Gain = 0.0
    focal_alpha: Share = 0.25
    hard_negatives: Above | None = None


class EfficientDetSettings(BaseLossSettings):
    """EfficientDet's matcher, focal loss and Huber loss.

    Args:
        box_loss: `huber` and `mse` on offsets to the anchor; the others on boxes, where a
            `box_gain` of about 1 is usual.
        box_gain: of the box term.
        huber_delta: where the Huber loss turns from a square into a line.
        positive_iou: overlap from which on an anchor is assigned the object that it overlaps most.
        negative_iou: overlap below which an anchor is background; between the two it is ignored.
        force_match: assign every object to the anchor that overlaps it most, however little.
        focal_alpha, focal_gamma: α 0.25 and γ 1.5; RetinaNet has 2.
        label_smoothing: ε; targets become 1 − ε/2 and ε/2, the focal weight stays.
        hard_negatives: as darknet's.
    """

    kind: Literal["efficientdet"] = "efficientdet"
    box_loss: BoxLoss | Literal["huber"] = "huber"
    box_gain: Gain = 50.0
    huber_delta: Above = 0.1
    positive_iou: Share = 0.5
    negative_iou: Share = 0.5
    force_match: bool = True
    focal_alpha: Share = 0.25
    focal_gamma: Gain = 1.5
    label_smoothing: Share = 0.0
    hard_negatives: Above | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.negative_iou > self.positive_iou:
            raise InvalidValue(
                "negative_iou", self.negative_iou, f"at most positive_iou, {self.positive_iou}"
            )
        return self


def class_weights_of(
    counts: tuple[float, ...], *, max_weight: float = float("inf")
) -> tuple[float, ...]:
    """The weight of each class from how often it occurs: darknet's `counters_per_class`.

    Args:
        counts: objects of each class; below 1 counts as 1.
        max_weight: no weight is larger (darknet's `max_delta`).

    >>> class_weights_of((100, 50, 1), max_weight=20)
    (1.0, 2.0, 20.0)
    """
    most = max((*counts, 1.0))
    return tuple(min(most / max(count, 1.0), max_weight) for count in counts)
