"""All detections in a data set, as columns built image by image."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

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
