"""Which AP is this? The settings that a figure depends on, and one line that states them."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

from ..errors import InvalidValue
from .coco import COCO_IOUS

NAMES = ("coco", "voc07", "voc12", "darknet")


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """All that a figure of detection depends on beside the model and the data.

    Args:
        name: whose rules: `coco`, `voc07`, `voc12` or `darknet`.
        min_score: detections below are not handed to the evaluation.
        ious: thresholds, ascending.
        max_detections: COCO's limits, per image and class; the other protocols have none.
        kept: the most detections that an image keeps after NMS; None for all.
        nms: kind of non-maximum suppression; `as given` for a results file.
        nms_iou: its threshold.
        points: of recall where precision is read; 0 is the area under the curve.
        clip: whether boxes are cut off at the edge of the image.
        inclusive: whether a box is one pixel wider than its corners tell (raw VOC coordinates).
        any_class: whether classes are told apart.

    Raises:
        InvalidValue: no such name, or a number out of range.
    """

    name: str
    min_score: float
    ious: tuple[float, ...]
    max_detections: tuple[int, ...] = ()
    kept: int | None = None
    nms: str
    nms_iou: float
    points: int
    clip: bool = True
    inclusive: bool = False
    any_class: bool = False

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise InvalidValue("protocol", self.name, f"one of {', '.join(NAMES)}")
        if not self.ious or not 0 <= min(self.ious) <= max(self.ious) <= 1:
            raise InvalidValue("ious", list(self.ious), "thresholds between 0 and 1")
        for what, value in (("min_score", self.min_score), ("nms_iou", self.nms_iou)):
            if not 0 <= value <= 1:
                raise InvalidValue(what, value, "a number between 0 and 1")
        if self.points < 0 or self.points == 1:
            raise InvalidValue("points", self.points, "0 for the area, or 2 and more")

    def describe(self) -> str:
        """One line that answers "which AP is this?"."""
        steps = {round(after - before, 4) for before, after in pairwise(self.ious)}
        ious = " ".join(f"{iou:g}" for iou in self.ious)
        if len(self.ious) > 2 and len(steps) == 1:
            ious = f"{self.ious[0]:g}:{self.ious[-1]:g} by {steps.pop():g}"
        limits = f"best {self.kept} of an image" if self.kept else "no limit per image"
        if self.max_detections:
            unit = "" if self.any_class else " and class"
            limits = f"best {self.max_detections[-1]} per image{unit} ({limits})"
        nms = self.nms if self.nms == "as given" else f"{self.nms} {self.nms_iou:g}"
        area = "area under the curve"
        return ", ".join(
            [
                f"{_TITLES[self.name]}: IoU {ious}",
                f"{self.points} recall points" if self.points else area,
                f"scores from {self.min_score:g}",
                limits,
                _CROWDS[self.name],
                f"NMS {nms}",
                "boxes clipped" if self.clip else "boxes not clipped",
                *(["inclusive pixels"] if self.inclusive else []),
                *(["classes not told apart"] if self.any_class else []),
            ]
        )


_TITLES = {
    "coco": "COCO AP",
    "voc07": "VOC2007 AP",
    "voc12": "VOC2012 AP",
    "darknet": "darknet mAP",
}
_CROWDS = {
    "coco": "crowds and difficult objects ignored",
    "voc07": "difficult objects and crowds ignored",
    "voc12": "difficult objects and crowds ignored",
    "darknet": "difficult objects and crowds ignored unless another object overlaps",
}

PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        "coco": Protocol(
            name="coco",
            min_score=0.001,
            ious=COCO_IOUS,
            max_detections=(1, 10, 100),
            kept=300,
            nms="greedy",
            nms_iou=0.6,
            points=101,
        ),
        "voc07": Protocol(
            name="voc07",
            min_score=0.001,
            ious=(0.5,),
            nms="greedy",
            nms_iou=0.45,
            points=11,
        ),
        "voc12": Protocol(
            name="voc12",
            min_score=0.001,
            ious=(0.5,),
            nms="greedy",
            nms_iou=0.45,
            points=0,
        ),
        "darknet": Protocol(
            name="darknet",
            min_score=0.005,
            ious=(0.5,),
            nms="greedy",
            nms_iou=0.45,
            points=0,
        ),
    }
)
