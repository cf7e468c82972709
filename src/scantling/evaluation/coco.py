"""The COCO protocol for boxes; precision and recall are computed by faster-coco-eval.

The metrics equal pycocotools' to the last bit. Source: https://cocodataset.org/#detection-eval.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from types import MappingProxyType, SimpleNamespace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidValue
from ..structures import IntArray
from .coco_counting import ByClass, count_class
from .protocol import Protocol, Row
from .tables import DetectionTable, GroundTruth

Columns = NDArray[np.float64]

COCO_IOUS: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).tolist())
COCO_RECALLS: tuple[float, ...] = tuple(np.linspace(0.0, 1.0, 101).tolist())
COCO_AREAS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "all": (0.0, 1e10),
        "small": (0.0, 32.0**2),
        "medium": (32.0**2, 96.0**2),
        "large": (96.0**2, 1e10),
    }
)


@dataclass(frozen=True)
class CocoClassStats:
    """COCO's metrics of one class; -1 where it has no objects."""

    name: str
    ap: float
    ap50: float
    ap75: float
    ap_small: float
    ap_medium: float
    ap_large: float
    recall: float  # AR at the most detections


class _Tables(NamedTuple):
    """Precision, recall and scores of the L classes that have objects: the others are all -1."""

    labels: IntArray  # (L,) ascending
    precision: Columns  # (T, R, L, A, M)
    recall: Columns  # (T, L, A, M)
    scores: Columns  # (T, R, L, A, M)


@dataclass(frozen=True, eq=False)
class CocoResult:
    """Result of the COCO protocol. T IoUs, R recalls, K classes, A areas, M limits.

    Args:
        names: of the K classes, by label; `("all",)` where classes were not told apart.
        category_ids: of the same; the order in which COCO takes its means.
        ious: (T,) thresholds.
        areas: (lowest, highest) in square pixels, by name, `all` first.
        max_detections: (M,) limits per image and class, ascending.
        tables: of the classes that have objects.
        stats: COCO's metrics by name: AP, AP50, AP75, APsmall, APmedium, APlarge, AR1, AR10,
            AR100, ARsmall, ARmedium, ARlarge; from 0 to 1, or -1.
    """

    names: tuple[str, ...]
    category_ids: tuple[int, ...]
    ious: tuple[float, ...]
    areas: Mapping[str, tuple[float, float]]
    max_detections: tuple[int, ...]
    tables: _Tables
    stats: Mapping[str, float]

    @property
    def precision(self) -> Columns:
        """(T, R, K, A, M), -1 where there is no object."""
        return self._of_all(self.tables.precision, 2)

    @property
    def recall(self) -> Columns:
        """(T, K, A, M), -1 where there is no object."""
        return self._of_all(self.tables.recall, 1)

    @property
    def scores(self) -> Columns:
        """(T, R, K, A, M) at which that recall is reached."""
        return self._of_all(self.tables.scores, 2)

    def _of_all(self, table: Columns, axis: int) -> Columns:
        whole = np.full((*table.shape[:axis], len(self.names), *table.shape[axis + 1 :]), -1.0)
        whole[(slice(None),) * axis + (self.tables.labels,)] = table
        return whole

    def average_precision(
        self, *, iou: float | None = None, area: str = "all", label: int | None = None
    ) -> float:
        """AP over all IoUs or at one, over all classes or of one; -1 where undefined."""
        table = self.tables.precision[..., list(self.areas).index(area), -1]
        return _mean(table[:, :, self._classes(label)][self._rows(iou)])

    def average_recall(
        self,
        *,
        iou: float | None = None,
        area: str = "all",
        label: int | None = None,
        limit: int | None = None,
    ) -> float:
        """AR over all IoUs or at one, at a limit of detections; -1 where undefined."""
        place = -1 if limit is None else self.max_detections.index(limit)
        table = self.tables.recall[..., list(self.areas).index(area), place]
        return _mean(table[:, self._classes(label)][self._rows(iou)])

    def class_stats(self) -> tuple[tuple[str, ...], list[Row]]:
        """Column names, and the metrics of each class; None where undefined."""
        rows: list[Row] = [tuple(map(_defined, astuple(one)[1:])) for one in self.per_class()]
        return ("AP", "AP50", "AP75", "AP small", "AP medium", "AP large", "AR"), rows

    def mean_precision(self, recalls: Columns) -> Columns:
        """(T, R) class mean of precision at each IoU and recall; NaN without objects."""
        table = self.tables.precision[:, :, :, 0, -1]
        known = table[0, 0] > -1  # (L,) classes with objects that count
        if not known.any():
            return np.full((len(self.ious), len(recalls)), np.nan)
        mean: Columns = table[:, :, known].mean(axis=2)
        return mean

    def describe(self) -> str:
        """The twelve lines of pycocotools."""
        return format_coco_block(self).rstrip("\n")

    def per_class(self) -> tuple[CocoClassStats, ...]:
        """Metrics of every class, by label."""
        known = set(self.tables.labels.tolist())
        return tuple(
            self._figures(label) if label in known else CocoClassStats(name, *(-1.0,) * 7)
            for label, name in enumerate(self.names)
        )

    def _figures(self, label: int) -> CocoClassStats:
        small, medium, large = (
            self.average_precision(area=area, label=label) if area in self.areas else -1.0
            for area in ("small", "medium", "large")
        )
        return CocoClassStats(
            self.names[label],
            self.average_precision(label=label),
            self.average_precision(iou=0.5, label=label),
            self.average_precision(iou=0.75, label=label),
            small,
            medium,
            large,
            self.average_recall(label=label),
        )

    def _rows(self, iou: float | None) -> IntArray:
        ious = np.asarray(self.ious)
        return np.arange(len(ious)) if iou is None else np.flatnonzero(ious == iou)

    def _classes(self, label: int | None) -> IntArray:
        """Places in the tables."""
        if label is not None:
            return np.flatnonzero(self.tables.labels == label)
        ids = np.asarray(self.category_ids)[self.tables.labels]
        return np.argsort(ids, kind="stable")  # a mean depends on its order


def evaluate_coco(
    truth: GroundTruth,
    detections: DetectionTable,
    *,
    ious: Sequence[float] = COCO_IOUS,
    areas: Mapping[str, tuple[float, float]] = COCO_AREAS,
    max_detections: Sequence[int] = (1, 10, 100),
    class_agnostic: bool = False,
) -> CocoResult:
    """Compute COCO's AP and AR.

    A detection that matches a crowd, or a difficult object, counts neither as right nor as wrong.
    pycocotools knows no difficult objects; without them the metrics are equal to its own.

    Args:
        truth: the labelled objects.
        detections: all of them.
        ious: ascending thresholds.
        areas: (lowest, highest) in square pixels, by name; `all` must come first.
        max_detections: how many of the best count, per image and class.
        class_agnostic: whether a detection may match an object of another class (`useCats = 0`).

    Raises:
        InvalidValue: a setting is empty or out of range.
    """
    limits = tuple(sorted(max_detections))
    _check(ious, areas, limits)
    names: tuple[str, ...] = ("all",) if class_agnostic else truth.names
    ids: tuple[int, ...] = (-1,) if class_agnostic else truth.category_ids
    settings = SimpleNamespace(
        iouThrs=np.asarray(ious, np.float64),
        recThrs=np.asarray(COCO_RECALLS),
        maxDets=list(limits),
        areaRng=[list(bounds) for bounds in areas.values()],
        useCats=1,
        catIds=[0],
        imgIds=[],
    )
    table = ByClass(truth, detections, most=limits[-1], class_agnostic=class_agnostic)
    labels = np.unique(table.truth_group).astype(np.int64)
    shape = (len(ious), len(COCO_RECALLS), len(labels), len(areas), len(limits))
    precision, scores = np.full(shape, -1.0), np.full(shape, -1.0)
    recall = np.full((shape[0], *shape[2:]), -1.0)
    for place, label in enumerate(labels.tolist()):
        counted = count_class(table, label, settings)
        precision[:, :, place] = counted["precision"][:, :, 0]
        scores[:, :, place] = counted["scores"][:, :, 0]
        recall[:, place] = counted["recall"][:, 0]
    tables = _Tables(labels, precision, recall, scores)
    bare = CocoResult(names, ids, tuple(ious), dict(areas), limits, tables, {})
    return replace(bare, stats=_stats(bare))


def _check(
    ious: Sequence[float], areas: Mapping[str, tuple[float, float]], limits: tuple[int, ...]
) -> None:
    """Raise for settings that are empty or out of range."""
    if not len(ious) or not 0 <= min(ious) <= max(ious) <= 1:
        raise InvalidValue("ious", list(ious), "thresholds between 0 and 1")
    if not limits or limits[0] < 1:
        raise InvalidValue("max_detections", list(limits), "whole numbers from 1")
    if next(iter(areas), "") != "all":
        raise InvalidValue("areas", list(areas), "ranges by name, `all` first")


def _mean(values: Columns) -> float:
    """Mean of the defined values; -1 where none is."""
    defined = values[values > -1]
    return float(np.mean(defined)) if len(defined) else -1.0


def _stats(result: CocoResult) -> dict[str, float]:
    """COCO's metrics by name, in its order."""
    sizes = [area for area in result.areas if area != "all"]
    return {
        "AP": result.average_precision(),
        "AP50": result.average_precision(iou=0.5),
        "AP75": result.average_precision(iou=0.75),
        **{f"AP{area}": result.average_precision(area=area) for area in sizes},
        **{f"AR{limit}": result.average_recall(limit=limit) for limit in result.max_detections},
        **{f"AR{area}": result.average_recall(area=area) for area in sizes},
    }


def format_coco_block(result: CocoResult) -> str:
    """Format the metrics as pycocotools prints them: twelve lines for COCO's own settings.

    Where it prints -1.000, as there is no such object, a dash stands here.
    """
    span = f"{result.ious[0]:0.2f}:{result.ious[-1]:0.2f}"
    most = result.max_detections[-1]
    sizes = [area for area in result.areas if area != "all"]
    precision = [("AP", span, "all"), ("AP50", "0.50", "all"), ("AP75", "0.75", "all")]
    precision += [(f"AP{area}", span, area) for area in sizes]
    rows = [("Average Precision", "(AP)", *row, most) for row in precision]
    rows += [
        ("Average Recall", "(AR)", f"AR{limit}", span, "all", limit)
        for limit in result.max_detections
    ]
    rows += [("Average Recall", "(AR)", f"AR{area}", span, area, most) for area in sizes]
    return "".join(
        f" {title:<18} {kind} @[ IoU={iou:<9} | area={area:>6s} | maxDets={limit:>3d} ]"
        f" = {_show(result.stats[key])}\n"
        for title, kind, key, iou, area, limit in rows
    )


def _show(value: float) -> str:
    return f"{value:0.3f}" if value >= 0 else "–"


def _defined(value: float) -> float | None:
    return value if value >= 0 else None


def _compute(truth: GroundTruth, detections: DetectionTable, protocol: Protocol) -> CocoResult:
    return evaluate_coco(
        truth,
        detections,
        ious=protocol.ious,
        max_detections=protocol.max_detections or (1, 10, 100),
        class_agnostic=protocol.class_agnostic,
    )


COCO = Protocol(
    name="coco",
    title="COCO AP",
    crowds="crowds and difficult objects ignored",
    compute=_compute,
    min_score=0.001,
    ious=COCO_IOUS,
    max_detections=(1, 10, 100),
    kept=300,
    nms="greedy",
    nms_iou=0.6,
    points=101,
    fixed_points=True,
)
