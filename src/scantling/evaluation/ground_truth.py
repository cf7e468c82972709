"""Ground truth: the labelled objects of a data set, as columns."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..datasets.dataset import Dataset, ImageId
from ..errors import InvalidValue
from ..structures import IntArray

Columns = NDArray[np.float64]
Flags = NDArray[np.bool_]


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
