"""The two tables that every protocol compares: ground truth and detections, as columns."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ..datasets.dataset import Dataset, ImageId
from ..errors import InvalidValue
from ..structures import Detections, IntArray

Columns = NDArray[np.float64]
Flags = NDArray[np.bool_]

_SHAPES = {
    "boxes": ((4,), np.float64),
    "scores": ((), np.float64),
    "labels": ((), np.int64),
    "image_index": ((), np.int64),
}


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """T labelled objects of a data set, image by image, one column per property.

    Args:
        names: of the classes, by label.
        category_ids: of the classes, as COCO counts them.
        image_ids: of the images, by place.
        boxes: (T, 4) left, top, width, height in pixels: COCO's own numbers.
        labels: (T,) places in `names`.
        image_index: (T,) places in `image_ids`, ascending; in an image, the order of its file.
        crowd: (T,) whether a box stands for many objects.
        difficult: (T,) whether it does not count (VOC).
        areas: (T,) in square pixels, of the mask where COCO gives one.

    Raises:
        InvalidValue: columns of unequal length, or images out of order.
    """

    names: tuple[str, ...]
    category_ids: tuple[int, ...]
    image_ids: tuple[ImageId, ...]
    boxes: Columns
    labels: IntArray
    image_index: IntArray
    crowd: Flags
    difficult: Flags
    areas: Columns

    def __post_init__(self) -> None:
        columns = (self.boxes, self.image_index, self.crowd, self.difficult, self.areas)
        lengths = {len(column) for column in columns}
        if lengths != {len(self.labels)}:
            raise InvalidValue("columns", sorted(lengths), f"all {len(self.labels)} long")
        if (np.diff(self.image_index) < 0).any():
            raise InvalidValue("image_index", "out of order", "ascending places")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def ignored(self) -> Flags:
        """(T,) crowds and difficult objects, which are neither hits nor misses."""
        return self.crowd | self.difficult


def make_ground_truth(dataset: Dataset) -> GroundTruth:
    """Make the ground truth of a data set."""
    objects = dataset.objects
    return GroundTruth(
        dataset.names,
        dataset.category_ids,
        tuple(image.image_id for image in dataset.images),
        with_sides(objects.boxes),
        objects.labels,
        objects.image_index,
        objects.crowd,
        objects.difficult,
        objects.areas,
    )


def with_sides(boxes: Columns) -> Columns:
    """Convert xyxy doubles to left, top, width, height, undoing the rounding of `left + width`.

    A side is a difference of corners, so it is off by the rounding of the corner. Where a number
    of at most six decimals lies within that rounding, it is the number that the file had.
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    rounded = np.round(sides, 6)
    slack = 2 * np.spacing(np.abs(boxes).max(axis=1, initial=1))[:, None]
    return np.concatenate(
        [boxes[:, :2], np.where(np.abs(rounded - sides) <= slack, rounded, sides)], axis=1
    )


def image_order(image_ids: tuple[ImageId, ...]) -> IntArray:
    """(N,) rank of each image sorted by id, numbers before names, as COCO breaks ties."""
    order = sorted(range(len(image_ids)), key=lambda place: _sort_key(image_ids[place]))
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    return ranks


def _sort_key(image_id: ImageId) -> tuple[bool, int, str]:
    if isinstance(image_id, str):
        return True, 0, image_id
    return False, image_id, ""


@dataclass(frozen=True, eq=False)
class DetectionTable:
    """D detections of a data set, one column per property, in any order.

    Args:
        boxes: (D, 4) left, top, width, height in pixels, as COCO's results have them.
        scores: (D,).
        labels: (D,) places in the names of the data set.
        image_index: (D,) places in its images.

    Raises:
        InvalidValue: a column has another length or kind, or a number is not finite.
    """

    boxes: Columns
    scores: Columns
    labels: IntArray
    image_index: IntArray

    def __post_init__(self) -> None:
        count = len(self.scores)
        for name, (rest, dtype) in _SHAPES.items():
            column = getattr(self, name)
            if column.shape != (count, *rest) or column.dtype != dtype:
                given = f"{column.dtype}{list(column.shape)}"
                raise InvalidValue(name, given, f"{np.dtype(dtype)}{[count, *rest]}")
            if not np.isfinite(column).all():
                raise InvalidValue(name, column[~np.isfinite(column)][0], "finite numbers")

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, which: slice | Flags | IntArray) -> "DetectionTable":
        """Select rows by a slice, a mask or indices."""
        return DetectionTable(*(getattr(self, field.name)[which] for field in fields(self)))

    def above(self, min_score: float) -> "DetectionTable":
        """Select the detections with at least this score."""
        return self.take(self.scores >= min_score)


class DetectionTableBuilder:
    """Builds a `DetectionTable` image by image, in growing columns.

    Args:
        labels: of the data set's classes, by the model's label; -1 for a class that the data set
            lacks, whose detections are left out. Left out, both count alike.
    """

    def __init__(self, labels: Sequence[int] | IntArray | None = None) -> None:
        self._labels = None if labels is None else np.asarray(labels, np.int64)
        self._count = 0
        self._columns = {
            name: np.empty((1024, *rest), dtype) for name, (rest, dtype) in _SHAPES.items()
        }

    def __len__(self) -> int:
        return self._count

    def add(self, image_index: int, detections: Detections) -> None:
        """Append the detections of one image.

        Box and score become the very doubles that `Detections.to_coco` writes, so that a results
        file gives the same figures as the run that made it.

        Args:
            image_index: the place of the image in the data set.
            detections: in pixels of the original image.
        """
        boxes = detections.boxes.astype(np.float64)
        boxes[:, 2:] -= boxes[:, :2]
        # by way of text: 0.87, not 0.8700000047
        scores = detections.scores.astype(np.str_).astype(np.float64)
        labels = detections.labels
        if self._labels is not None:
            labels = self._labels[labels]
            kept = labels >= 0
            boxes, scores, labels = boxes[kept], scores[kept], labels[kept]
        index = np.full(len(labels), image_index, np.int64)
        self._append({"boxes": boxes, "scores": scores, "labels": labels, "image_index": index})

    def build(self) -> DetectionTable:
        """Make the table of all detections added so far."""
        return DetectionTable(
            **{name: column[: self._count].copy() for name, column in self._columns.items()}
        )

    def _append(self, rows: dict[str, NDArray[np.float64] | IntArray]) -> None:
        end = self._count + len(rows["scores"])
        if end > len(self._columns["scores"]):
            room = max(end, 2 * len(self._columns["scores"]))
            for name, column in self._columns.items():
                grown = np.empty((room, *column.shape[1:]), column.dtype)
                grown[: self._count] = column[: self._count]
                self._columns[name] = grown
        for name, values in rows.items():
            self._columns[name][self._count : end] = values
        self._count = end
