"""Check class balance, and object sizes against a model's levels."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ...images.letterbox import find_placement
from ..dataset import Columns, Dataset
from ..findings import Finding
from .result import ModelLevels

# The commonest class may have so many objects to one of the rarest. Beyond, a detector that never
# names the rare class loses nothing that its training would notice.
MOST_TO_ONE = 100
# Side of an object in cells of the finest level. Smaller ones share a cell with their neighbours,
# and half of what the network sees at their place is background.
LEAST_CELLS = 0.5
# Objects from which on every level is expected to have some: of fewer all may be small by chance.
LEAST_OBJECTS = 100
# Side of the object that a level is for, in cells, where it has no anchors: EfficientDet's, whose
# anchors have a scale of 4 (https://arxiv.org/abs/1911.09070).
CELLS_OF_LEVEL = 4.0


def class_counts(datasets: Sequence[Dataset]) -> dict[str, list[int]]:
    """The number of objects of every class, by its name, in each split."""
    names = dict.fromkeys(name for dataset in datasets for name in dataset.names)
    counts = {name: [0] * len(datasets) for name in names}
    for split, dataset in enumerate(datasets):
        found = np.bincount(dataset.objects.labels, minlength=len(dataset.names))
        for name, count in zip(dataset.names, found.tolist(), strict=True):
            counts[name][split] += count
    return counts


def check_classes(datasets: Sequence[Dataset]) -> Iterator[Finding]:
    """Find classes without objects, far rarer than another, or missing from a split."""
    filled = [dataset for dataset in datasets if len(dataset.objects)]
    if not filled:
        return
    counts = class_counts(filled)
    source = filled[0].source
    for name, numbers in counts.items():
        if sum(numbers) == 0:
            yield Finding("W501", f"class {name!r} has no objects in any split", source, item=name)
            continue
        for dataset, number in zip(filled, numbers, strict=True):
            if number == 0:
                others = [one.split for one, have in zip(filled, numbers, strict=True) if have]
                message = (
                    f"class {name!r} has no objects in {dataset.split}, but in {', '.join(others)}"
                )
                yield Finding("W505", message, dataset.source, item=name)
    totals = {name: sum(numbers) for name, numbers in counts.items()}
    commonest = max(totals, key=lambda name: totals[name])
    for name, total in totals.items():
        if 0 < total * MOST_TO_ONE < totals[commonest]:
            message = (
                f"class {name!r} has {total:,} of the objects, and {commonest!r}"
                f" {totals[commonest]:,}; expected no more than {MOST_TO_ONE} to one"
            )
            yield Finding("W502", message, source, item=name)


def input_sides(dataset: Dataset, levels: ModelLevels) -> Columns:
    """(T, 2) width and height of every object in pixels of the model's input.

    An object in an image of unknown size is NaN.
    """
    scales = np.full((len(dataset.images), 2), np.nan)
    for index, image in enumerate(dataset.images):
        if image.size is not None and min(image.size) > 0:
            placement = find_placement(
                image.size, levels.image_size, resize_mode=levels.resize_mode
            )
            scales[index] = placement.scale_x, placement.scale_y
    boxes = dataset.objects.boxes
    sides: Columns = (boxes[:, 2:] - boxes[:, :2]) * scales[dataset.objects.image_index]
    return sides


def check_sizes(datasets: Sequence[Dataset], levels: ModelLevels) -> Iterator[Finding]:
    """Find objects too small for the finest level of a model, and levels without objects.

    Crowds are left out: no detector is asked to find them.
    """
    yield from _check_smallest(datasets, levels)
    sides = np.concatenate([_counted(dataset, levels)[0] for dataset in datasets] or [_NO_SIDES])
    if len(sides) < LEAST_OBJECTS:
        return
    used = np.bincount(assign_levels(sides, levels), minlength=len(levels.strides))
    for stride, count in zip(levels.strides, used.tolist(), strict=True):
        if count == 0:
            message = (
                f"none of {len(sides):,} objects is of the size that the level of stride {stride}"
                f" of {levels.name} is for"
            )
            yield Finding("W504", message, datasets[0].source, item=f"stride {stride}")


def _check_smallest(datasets: Sequence[Dataset], levels: ModelLevels) -> Iterator[Finding]:
    """W503: one finding for each class with objects that are too small, at its smallest."""
    least = LEAST_CELLS * levels.strides[0]
    small: Counter[str] = Counter()
    total: Counter[str] = Counter()
    smallest: dict[str, tuple[float, tuple[float, float], Dataset, int]] = {}
    for dataset in datasets:
        sides, places = _counted(dataset, levels)
        lengths = np.sqrt(sides.prod(axis=1))
        labels = dataset.objects.labels[places]
        for label in np.unique(labels).tolist():
            of_class = np.flatnonzero(labels == label)
            name = dataset.names[label]
            total[name] += len(of_class)
            small[name] += int((lengths[of_class] < least).sum())
            first = of_class[int(lengths[of_class].argmin())]
            width, height = sides[first].tolist()
            found = (float(lengths[first]), (width, height), dataset, int(places[first]))
            smallest[name] = min(smallest.get(name, found), found, key=lambda one: one[0])
    input_height, input_width = levels.image_size
    for name, count in sorted(small.items()):
        if count:
            _, (width, height), dataset, place = smallest[name]
            image = dataset.images[int(dataset.objects.image_index[place])]
            left, top, right, bottom = dataset.objects.boxes[place].tolist()
            message = (
                f"{count:,} of {total[name]:,} objects of class {name!r} are smaller than"
                f" {least:g} pixels on the {input_width} × {input_height} input of {levels.name};"
                f" the smallest is {width:.1f} × {height:.1f}"
            )
            file, box = image.label_file or dataset.source, (left, top, right, bottom)
            yield Finding("W503", message, file, item=name, image=image.path, box=box)


_NO_SIDES: Columns = np.zeros((0, 2))


def _counted(dataset: Dataset, levels: ModelLevels) -> tuple[Columns, NDArray[np.intp]]:
    """Sides (M, 2) on the input of the objects that are checked, and their indices (M,)."""
    sides = input_sides(dataset, levels)
    places = np.flatnonzero(np.isfinite(sides).all(axis=1) & ~dataset.objects.crowd)
    return sides[places], places


def assign_levels(sides: Columns, levels: ModelLevels) -> NDArray[np.intp]:
    """The level that each object suits best, shape (T,).

    The one whose anchors have the highest IoU with it, laid on the same centre; without anchors
    the one of which it covers nearest to four cells.

    Args:
        sides: (T, 2) width and height in input pixels.
        levels: of the model.
    """
    if not levels.anchors:
        length = np.sqrt(sides.prod(axis=1)).clip(min=1e-6)
        expected = CELLS_OF_LEVEL * np.array(levels.strides, np.float64)
        nearest: NDArray[np.intp] = np.abs(np.log(length[:, None] / expected)).argmin(axis=1)
        return nearest
    anchors = np.array([anchor for level in levels.anchors for anchor in level], np.float64)
    level_of = np.repeat(np.arange(len(levels.anchors)), [len(one) for one in levels.anchors])
    overlap = np.minimum(sides[:, None], anchors).prod(axis=2)
    union = sides.prod(axis=1)[:, None] + anchors.prod(axis=1) - overlap
    best: NDArray[np.intp] = level_of[(overlap / union).argmax(axis=1)]
    return best
