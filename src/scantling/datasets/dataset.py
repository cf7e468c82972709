"""A labelled data set in memory: its images, its classes, and all objects in one table."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidValue
from ..structures import IntArray
from .findings import Finding

ImageId = int | str
Flags = NDArray[np.bool_]
Columns = NDArray[np.float64]


@dataclass(frozen=True)
class LabelledImage:
    """An image of a data set, and where its labels come from.

    Args:
        path: of the image file.
        image_id: what results call it: COCO's id; else the number that the file is named by
            (`000000000139.jpg` is 139), or its name without suffix.
        size: (height, width), upright as its EXIF says; None where the file could not tell.
        label_file: what was read for it; None where it has none.
    """

    path: Path
    image_id: ImageId
    size: tuple[int, int] | None
    label_file: Path | None = None


@dataclass(frozen=True, eq=False)
class Objects:
    """The labelled objects of a data set, a column a property, T of them, image by image.

    Boxes are doubles: a file is written back as it was read, and COCO's figures are exact.

    Args:
        boxes: (T, 4) xyxy in pixels of the upright image.
        labels: (T,) places in the names of the data set.
        image_index: (T,) places in its images, ascending; in an image, the order of its file.
        crowd: (T,) whether a box stands for many objects (COCO's `iscrowd`).
        difficult: (T,) whether it does not count in evaluation (VOC's `difficult`).
        areas: (T,) in square pixels; COCO's own, which is that of the mask, else of the box.

    Raises:
        InvalidValue: a column has another length or kind, or the images are out of order.
    """

    boxes: Columns
    labels: IntArray
    image_index: IntArray
    crowd: Flags
    difficult: Flags
    areas: Columns

    def __post_init__(self) -> None:
        count = len(self.labels)
        for field, dtype in zip(fields(self), _DTYPES, strict=True):
            column = getattr(self, field.name)
            shape = (count, 4) if field.name == "boxes" else (count,)
            if column.shape != shape or column.dtype != dtype:
                given = f"{column.dtype}{list(column.shape)}"
                raise InvalidValue(field.name, given, f"{np.dtype(dtype)}{list(shape)}")
        if (np.diff(self.image_index) < 0).any():
            raise InvalidValue("image_index", "out of order", "ascending places")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, which: slice | Flags | IntArray) -> "Objects":
        """Some of them: a slice, flags, or ascending places."""
        return Objects(*(getattr(self, field.name)[which] for field in fields(self)))


_DTYPES = (np.float64, np.int64, np.int64, np.bool_, np.bool_, np.float64)


def make_objects(
    boxes: Sequence[Sequence[float]] | Columns,
    labels: Sequence[int] | IntArray,
    image_index: Sequence[int] | IntArray,
    *,
    crowd: Sequence[bool] | Flags | None = None,
    difficult: Sequence[bool] | Flags | None = None,
    areas: Sequence[float] | Columns | None = None,
) -> Objects:
    """Objects from lists or arrays; flags left out are all off, areas left out those of the boxes.

    Raises:
        InvalidValue: as `Objects`.
    """
    table = np.asarray(boxes, np.float64).reshape(-1, 4)
    count = len(table)
    sides = np.clip(table[:, 2:] - table[:, :2], 0, None)
    return Objects(
        table,
        np.asarray(labels, np.int64),
        np.asarray(image_index, np.int64),
        np.zeros(count, np.bool_) if crowd is None else np.asarray(crowd, np.bool_),
        np.zeros(count, np.bool_) if difficult is None else np.asarray(difficult, np.bool_),
        sides.prod(axis=1) if areas is None else np.asarray(areas, np.float64),
    )


@dataclass(frozen=True, eq=False)
class Dataset:
    """One split of a labelled data set.

    Args:
        source: the file or folder that it was read from.
        format: `coco`, `yolo`, `darknet` or `voc`.
        split: which part: `train`, `val`, `test`, or what the source calls it.
        names: of its classes, by label.
        category_ids: of its classes, as the source counts them: COCO's ids, else the labels.
        images: in the order of the source.
        objects: of all images. An object with an error is not among them.
        findings: what was found wrong while reading.

    Raises:
        InvalidValue: an object lies in no image, or is of no class.
    """

    source: Path
    format: str
    split: str
    names: tuple[str, ...]
    category_ids: tuple[int, ...]
    images: tuple[LabelledImage, ...]
    objects: Objects
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        if len(self.category_ids) != len(self.names):
            raise InvalidValue("category_ids", len(self.category_ids), f"{len(self.names)} of them")
        for what, places, count in (
            ("labels", self.objects.labels, len(self.names)),
            ("image_index", self.objects.image_index, len(self.images)),
        ):
            if len(places) and not 0 <= places.min() <= places.max() < count:
                raise InvalidValue(
                    what, [int(places.min()), int(places.max())], f"0 to {count - 1}"
                )

    def __len__(self) -> int:
        return len(self.images)

    def objects_of(self, index: int) -> Objects:
        """The objects of one image."""
        start, end = np.searchsorted(self.objects.image_index, [index, index + 1])
        return self.objects.take(slice(int(start), int(end)))

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that are errors."""
        return tuple(finding for finding in self.findings if finding.is_error)
