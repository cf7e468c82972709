"""Statistics of a data set: classes, objects per image, object sizes."""

from dataclasses import dataclass

import numpy as np

from ..images.letterbox import find_placement
from ..structures import as_size
from .dataset import Columns, Dataset

SMALL, MEDIUM = 32.0, 96.0  # COCO's limits, as sides of a square in pixels
PERCENTILES = (0, 5, 25, 50, 75, 95, 100)


@dataclass(frozen=True)
class ClassStatistics:
    """Counts of one class."""

    name: str
    objects: int
    images: int  # with at least one object of it
    crowd: int  # objects that stand for many
    difficult: int


@dataclass(frozen=True)
class SizeShares:
    """Shares of the objects by COCO's limits, 32² and 96² pixels of box; all 0 without objects."""

    small: float
    medium: float
    large: float


@dataclass(frozen=True, eq=False)
class Statistics:
    """Statistics of one split. Percentiles are those of `PERCENTILES`; empty without objects.

    Args:
        split: its name.
        images: how many.
        empty_images: those without objects.
        objects: how many.
        crowd: objects that stand for many.
        difficult: objects that do not count in evaluation.
        classes: by label.
        objects_per_image: (L,) how many images have 0, 1, 2, … objects.
        image_sizes: (height, width) and how many images have it, the most frequent first; those
            of images whose size is not known are not among them.
        sides: (T,) square root of the area of each box, in pixels of its image.
        size_shares: small, medium and large in the images.
        aspects: (T,) width by height of each box with an area.
        image_size: (height, width) of a model's input; None where none was asked for.
        input_sides: (T,) as `sides`, letterboxed onto that input; empty without one.
        input_shares: small, medium and large on that input.
    """

    split: str
    images: int
    empty_images: int
    objects: int
    crowd: int
    difficult: int
    classes: tuple[ClassStatistics, ...]
    objects_per_image: tuple[int, ...]
    image_sizes: tuple[tuple[tuple[int, int], int], ...]
    sides: Columns
    size_shares: SizeShares
    aspects: Columns
    image_size: tuple[int, int] | None
    input_sides: Columns
    input_shares: SizeShares | None

    def percentiles(self, values: Columns) -> tuple[float, ...]:
        """`PERCENTILES` of one of the columns."""
        if not len(values):
            return ()
        return tuple(float(value) for value in np.percentile(values, PERCENTILES))


def dataset_statistics(
    dataset: Dataset, *, image_size: int | tuple[int, int] | None = None
) -> Statistics:
    """Compute the statistics of one split.

    Args:
        dataset: the split.
        image_size: (height, width) of a model's input, or the side of a square, to tell how large
            objects are on it.
    """
    objects = dataset.objects
    per_image = np.bincount(objects.image_index, minlength=len(dataset))
    sizes, size_of_image = _unique_sizes(dataset)
    box_sides = np.clip(objects.boxes[:, 2:] - objects.boxes[:, :2], 0, None)
    sides = np.sqrt(box_sides.prod(axis=1))
    input_sides = np.empty(0, np.float64)
    if image_size is not None:
        image_size = as_size(image_size)
        input_sides = _sides_on_input(dataset, box_sides, sizes, size_of_image, image_size)
    solid = (box_sides > 0).all(axis=1)
    counts = np.bincount(size_of_image[size_of_image >= 0], minlength=len(sizes))
    order = np.argsort(-counts, kind="stable")
    return Statistics(
        split=dataset.split,
        images=len(dataset),
        empty_images=int((per_image == 0).sum()),
        objects=len(objects),
        crowd=int(objects.crowd.sum()),
        difficult=int(objects.difficult.sum()),
        classes=_count_classes(dataset),
        objects_per_image=tuple(np.bincount(per_image).tolist()) if len(dataset) else (),
        image_sizes=tuple((sizes[place], int(counts[place])) for place in order),
        sides=sides,
        size_shares=_share_sizes(sides),
        aspects=box_sides[solid, 0] / box_sides[solid, 1],
        image_size=image_size,
        input_sides=input_sides,
        input_shares=None if image_size is None else _share_sizes(input_sides),
    )


def _count_classes(dataset: Dataset) -> tuple[ClassStatistics, ...]:
    objects, count = dataset.objects, len(dataset.names)
    pairs = np.unique(np.stack([objects.labels, objects.image_index], axis=1), axis=0)
    columns = (
        np.bincount(objects.labels, minlength=count),
        np.bincount(pairs[:, 0], minlength=count),
        np.bincount(objects.labels[objects.crowd], minlength=count),
        np.bincount(objects.labels[objects.difficult], minlength=count),
    )
    rows = np.stack(columns, axis=1).tolist()
    return tuple(ClassStatistics(name, *row) for name, row in zip(dataset.names, rows, strict=True))


def _unique_sizes(
    dataset: Dataset,
) -> tuple[list[tuple[int, int]], np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
    """The sizes that occur, and the place of each image's in them; -1 where it is not known."""
    places: dict[tuple[int, int], int] = {}
    of_image = [
        -1 if image.size is None else places.setdefault(image.size, len(places))
        for image in dataset.images
    ]
    return list(places), np.array(of_image, np.int64)


def _sides_on_input(
    dataset: Dataset,
    box_sides: Columns,
    sizes: list[tuple[int, int]],
    size_of_image: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    image_size: tuple[int, int],
) -> Columns:
    """Square roots of the areas on the input, of the objects in images of known size."""
    placements = [find_placement(size, image_size) for size in sizes]
    scales = np.array([one.scale_x * one.scale_y for one in placements], np.float64)
    size_of_object = size_of_image[dataset.objects.image_index]
    known = size_of_object >= 0
    return np.asarray(
        np.sqrt(box_sides[known].prod(axis=1) * scales[size_of_object[known]]), np.float64
    )


def _share_sizes(sides: Columns) -> SizeShares:
    if not len(sides):
        return SizeShares(0.0, 0.0, 0.0)
    small, large = float((sides < SMALL).mean()), float((sides >= MEDIUM).mean())
    medium = float(((sides >= SMALL) & (sides < MEDIUM)).mean())
    return SizeShares(small, medium, large)
