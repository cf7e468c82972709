"""Parts of a data set: its first images, and the objects of some of its classes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..datasets.dataset import Dataset
from ..errors import InvalidData, InvalidValue
from ..inference import Predictor
from ..postprocess import Selection
from ..specs.classes import ClassMatch, find_label
from .tables import DetectionTable


def first_images(dataset: Dataset, count: int) -> Dataset:
    """Keep only the first images of a data set."""
    if count >= len(dataset):
        return dataset
    if count < 1:
        raise InvalidValue("limit", count, "one image or more")
    kept = dataset.objects.take(dataset.objects.image_index < count)
    return replace(dataset, images=dataset.images[:count], objects=kept)


def without_classes(dataset: Dataset, names: tuple[str, ...]) -> Dataset:
    """Remove the objects of some classes; the names stay in the list of classes."""
    kept = np.array([name not in names for name in dataset.names])[dataset.objects.labels]
    return replace(dataset, objects=dataset.objects.take(kept))


def find_labels(dataset: Dataset, classes: Sequence[str | int]) -> tuple[int, ...]:
    """Labels of classes that are given by name or label; each once, in the order of the data.

    Raises:
        UnknownName, InvalidValue: the data has no class of that name or label; or none is given.
    """
    if not classes or isinstance(classes, str):
        raise InvalidValue("classes", classes, "a list of names or labels, one or more")
    found = {find_label(one, dataset.names, what="class of the data") for one in classes}
    return tuple(sorted(found))


def min_scores(
    dataset: Dataset, min_score: float, others: Mapping[str | int, float]
) -> tuple[NDArray[np.float64], dict[str, float]]:
    """(K,) the threshold of each class of the data; and those that are others, by name.

    Raises:
        UnknownName, InvalidValue: there is no such class, or it is no threshold.
    """
    Selection(min_score=min_score, class_scores=others)  # which checks the numbers
    least, names = np.full(len(dataset.names), min_score), {}
    for given, score in others.items():
        label = find_label(given, dataset.names, what="class of the data")
        least[label] = names[dataset.names[label]] = score
    return least, names


def keep_labels(detections: DetectionTable, labels: Sequence[int] | None) -> DetectionTable:
    """The detections of some classes, labelled as `only_classes` labels them; all if None."""
    if labels is None:
        return detections
    kept = detections.take(np.isin(detections.labels, labels))
    return replace(kept, labels=np.searchsorted(labels, kept.labels))


def only_classes(dataset: Dataset, labels: Sequence[int]) -> Dataset:
    """The same images with some of the classes alone, as if the data had no others.

    Args:
        dataset: of the images.
        labels: of the classes that stay, ascending.

    Raises:
        InvalidData: none of their objects counts.
    """
    places = np.full(len(dataset.names), -1, np.int64)
    places[list(labels)] = np.arange(len(labels))
    moved = places[dataset.objects.labels]
    objects = dataset.objects.take(moved >= 0)
    names = tuple(dataset.names[label] for label in labels)
    if not (~objects.crowd).any():
        present = dict.fromkeys(dataset.names[one] for one in dataset.objects.labels.tolist())
        raise InvalidData(
            str(dataset.source),
            f"the split {dataset.split!r} has {len(dataset):,} images and not one object of "
            + ", ".join(map(repr, names)),
            f"Name others: there are objects of {', '.join(map(repr, [*present][:10]))}",
        )
    return replace(
        dataset,
        names=names,
        category_ids=tuple(dataset.category_ids[label] for label in labels),
        objects=replace(objects, labels=moved[moved >= 0]),
    )


def choose_classes(
    whole: Dataset,
    labels: tuple[int, ...] | None,
    predictor: Predictor,
    match: Callable[..., ClassMatch],
    renamed: Mapping[str, str],
) -> tuple[Dataset, ClassMatch]:
    """The data with the classes that count alone, and which of the model's each of them is.

    Args:
        whole: the data.
        labels: of the classes that were asked for; None for those that the predictor keeps.
        predictor: its selection keeps some classes alone where no labels are given.
        match: `match_class_names` for the model.
        renamed: name in the data → name in the model.
    """
    source, kept = str(whole.source), predictor.selection.classes
    if labels is None and kept is not None:
        matched = match(whole.names, source=source, rename_classes=renamed)
        known = matched.labels[np.asarray(kept, np.int64)]
        labels = tuple(np.unique(known[known >= 0]).tolist())
        if not labels:
            names = ", ".join(repr(predictor.names[int(label)]) for label in kept)
            problem = f"it has none of the classes that the model's selection keeps: {names}"
            raise InvalidData(source, problem, "Select others, or name the classes to count")
    chosen = only_classes(whole, labels or ())
    left = {name: new for name, new in renamed.items() if name not in whole.names} | {
        name: renamed[name] for name in chosen.names if name in renamed
    }
    return chosen, match(chosen.names, source=source, rename_classes=left)
