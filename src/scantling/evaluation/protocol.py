"""Evaluation protocols: the settings that a metric depends on, and how it is computed."""

import typing
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidValue
from .tables import DetectionTable, GroundTruth

Row = tuple[str | int | float | None, ...]
OF_THE_MODEL = "of the model"  # in place of a kind of NMS
_NOT_SETTINGS = ("title", "crowds", "compute", "fixed_points", "cuts_files")


class ProtocolResult(typing.Protocol):
    """Result of a protocol; its own class may hold more."""

    @property
    def stats(self) -> Mapping[str, float]:
        """Metrics by name, as `AP` or `mAP`; -1 where undefined."""

    def class_stats(self) -> tuple[tuple[str, ...], list[Row]]:
        """Column names, and the metrics of each class; None where undefined."""

    def mean_precision(self, recalls: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """(T, R) class mean of precision at each IoU and recall; None for that of the curves."""

    def describe(self) -> str:
        """The metrics as text."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Everything that a detection metric depends on besides the model and the data.

    Args:
        name: its key in `PROTOCOLS`.
        title: what its metric is called.
        crowds: how crowds and difficult objects are treated, in words.
        compute: makes its result from the labels, the detections and these settings.
        min_score: detections below are not handed to the evaluation.
        ious: thresholds, ascending.
        max_detections: COCO's limits, per image and class; the other protocols have none.
        kept: the most detections that an image keeps after NMS; None for all.
        nms: kind of non-maximum suppression; `of the model` for the one in its description, which a
            cfg's `nms_kind` is; `as given` for a results file.
        nms_iou: its threshold.
        points: of recall where precision is read; 0 is the area under the curve.
        clip: whether boxes are cut off at the edge of the image.
        inclusive: whether a box is one pixel wider than its corners tell (raw VOC coordinates).
        class_agnostic: whether a detection may match an object of another class.
        fixed_points: whether `points` is part of its definition.
        cuts_files: whether detections of a results file are cut at `min_score` too.
        classes: names of the only classes that count; None for all of the data.
        class_scores: other values of `min_score`, by the name of the class.

    Raises:
        InvalidValue: an empty name, or a number out of range.
    """

    name: str
    title: str
    crowds: str
    compute: Callable[[GroundTruth, DetectionTable, "Protocol"], ProtocolResult]
    min_score: float
    ious: tuple[float, ...]
    max_detections: tuple[int, ...] = ()
    kept: int | None = None
    nms: str
    nms_iou: float
    points: int
    clip: bool = True
    inclusive: bool = False
    class_agnostic: bool = False
    fixed_points: bool = False
    cuts_files: bool = False
    classes: tuple[str, ...] | None = None
    class_scores: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise InvalidValue("name", self.name, "a name for the protocol")
        if not self.ious or not 0 <= min(self.ious) <= max(self.ious) <= 1:
            raise InvalidValue("ious", list(self.ious), "thresholds between 0 and 1")
        for what, value in (("min_score", self.min_score), ("nms_iou", self.nms_iou)):
            if not 0 <= value <= 1:
                raise InvalidValue(what, value, "a number between 0 and 1")
        if self.points < 0 or self.points == 1:
            raise InvalidValue("points", self.points, "0 for the area, or 2 and more")

    @property
    def lowest_score(self) -> float:
        """The lowest threshold of any class."""
        return min([self.min_score, *self.class_scores.values()])

    def to_record(self) -> dict[str, Any]:
        """Its settings as plain values, for JSON."""
        return {name: value for name, value in asdict(self).items() if name not in _NOT_SETTINGS}

    def describe(self) -> str:
        """The protocol in one line, which answers "which AP is this?"."""
        steps = {round(after - before, 4) for before, after in pairwise(self.ious)}
        ious = " ".join(f"{iou:g}" for iou in self.ious)
        if len(self.ious) > 2 and len(steps) == 1:
            ious = f"{self.ious[0]:g}:{self.ious[-1]:g} by {steps.pop():g}"
        limits = f"best {self.kept} of an image" if self.kept else "no limit per image"
        if self.max_detections:
            unit = "" if self.class_agnostic else " and class"
            limits = f"best {self.max_detections[-1]} per image{unit} ({limits})"
        nms = self.nms if self.nms == "as given" else f"{self.nms} {self.nms_iou:g}"
        area = "area under the curve"
        own = ", ".join(f"{name} {score:g}" for name, score in self.class_scores.items())
        classes = "" if self.classes is None else ", ".join(self.classes)
        return ", ".join(
            [
                f"{self.title}: IoU {ious}",
                f"{self.points} recall points" if self.points else area,
                f"scores from {self.min_score:g}{f' ({own})' if own else ''}",
                limits,
                self.crowds,
                f"NMS {nms}",
                "boxes clipped" if self.clip else "boxes not clipped",
                *(["inclusive pixels"] if self.inclusive else []),
                *(["classes not told apart"] if self.class_agnostic else []),
                *([f"of these classes alone: {classes}"] if classes else []),
            ]
        )
