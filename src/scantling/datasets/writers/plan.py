"""Prepare a data set for any writer: one list of classes, and the images that can be written."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ...errors import InvalidData
from ..dataset import Dataset, LabelledImage, make_objects
from .values import Dropped, SplitPlan, WritePlan

# What the readers of a format leave behind, whatever is written then.
NOT_READ = {
    "coco": "outlines, key points, supercategories, licences and dates of COCO",
    "voc": "pose, truncation and parts of an object of VOC",
}
# Findings whose object is left out of the data set.
LEFT_OUT = tuple(f"E{number}" for number in (*range(201, 211), 212, 217, 218, 228, 229))


def make_plan(datasets: Mapping[str, Dataset], *, name: str) -> WritePlan:
    """Merge the classes of all splits by name, and drop images that cannot be written.

    Raises:
        InvalidData: there is nothing to write, two classes have one name, or two splits would be
            written to one place.
    """
    if not any(dataset.images for dataset in datasets.values()):
        raise InvalidData(name, "there are no images to write", "Choose splits with images")
    names = merge_names(tuple(datasets.values()))
    ids, dropped = _merge_ids(tuple(datasets.values()), names)
    splits = tuple(_make_split(split, dataset, names) for split, dataset in datasets.items())
    shared, _ = Counter(split.name for split in splits).most_common(1)[0]
    if len({split.name for split in splits}) < len(splits):
        raise InvalidData(name, f"two splits would be called {shared!r}", "Rename one of them")
    return WritePlan(
        safe_word(name, "data"),
        names,
        ids,
        splits,
        (*dropped, *_dropped_by_readers(tuple(datasets.values()), splits)),
    )


def merge_names(datasets: Sequence[Dataset]) -> tuple[str, ...]:
    """Merge the classes of several splits: those of the first, then what each further one adds.

    Raises:
        InvalidData: two classes of a split have one name.
    """
    for dataset in datasets:
        name, count = Counter(dataset.names or ("",)).most_common(1)[0]
        if count > 1:
            raise InvalidData(
                str(dataset.source), f"{count} classes are called {name!r}", "Rename all but one"
            )
    return tuple(dict.fromkeys(name for dataset in datasets for name in dataset.names))


def safe_word(text: str, otherwise: str) -> str:
    """Text of a file → one word that is safe in a path: letters, digits, `-`, `_` and inner dots.

    >>> safe_word("../my set", "data")
    'my_set'
    """
    return re.sub(r"[^\w.-]+", "_", text).strip("._")[:80] or otherwise


def _merge_ids(
    datasets: Sequence[Dataset], names: tuple[str, ...]
) -> tuple[tuple[int, ...], tuple[Dropped, ...]]:
    """Merge COCO's category ids by class; they are dropped where the splits disagree."""
    counted = tuple(range(1, len(names) + 1))
    if any(dataset.format != "coco" for dataset in datasets):
        return counted, ()
    ids: dict[str, int] = {}
    for dataset in datasets:
        for name, category_id in zip(dataset.names, dataset.category_ids, strict=True):
            if ids.setdefault(name, category_id) != category_id:
                note = "the splits disagree on them"
                return counted, (Dropped("category ids", len(names), note),)
    if len(set(ids.values())) < len(ids):
        note = "classes of different splits share one"
        return counted, (Dropped("category ids", len(names), note),)
    return tuple(ids[name] for name in names), ()


def _make_split(split: str, dataset: Dataset, names: tuple[str, ...]) -> SplitPlan:
    places = {name: place for place, name in enumerate(names)}
    kept = np.array([_is_writable(image) for image in dataset.images], np.bool_)
    objects = dataset.objects
    if len(objects):
        objects = objects.take(kept[objects.image_index])
    new_place = np.cumsum(kept) - 1
    new_label = np.array([places[name] for name in dataset.names], np.int64)
    moved = make_objects(
        objects.boxes,
        new_label[objects.labels],
        new_place[objects.image_index],
        crowd=objects.crowd,
        difficult=objects.difficult,
        areas=objects.areas,
    )
    images = tuple(image for image, keep in zip(dataset.images, kept, strict=True) if keep)
    return SplitPlan(safe_word(split, "all"), images, moved)


def _is_writable(image: LabelledImage) -> bool:
    return image.size is not None and min(image.size) > 0 and _is_file(image.path)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _dropped_by_readers(datasets: Sequence[Dataset], splits: Sequence[SplitPlan]) -> list[Dropped]:
    dropped = [Dropped("what readers leave out", None, note) for kind, note in NOT_READ.items()
            if any(dataset.format == kind for dataset in datasets)]  # fmt: skip
    codes = Counter(finding.code for dataset in datasets for finding in dataset.findings)
    if codes["W216"]:
        dropped.append(Dropped("polygons", codes["W216"], "they were reduced to their boxes"))
    wrong = {code: codes[code] for code in LEFT_OUT if codes[code]}
    if wrong:
        each = ", ".join(f"{code} {count}" for code, count in wrong.items())
        note = f"labels with errors were left out ({each}); `scantling data check` shows them"
        dropped.append(Dropped("labels", sum(wrong.values()), note))
    images = sum(map(len, datasets)) - sum(len(split.images) for split in splits)
    if images:
        objects = sum(len(dataset.objects) for dataset in datasets)
        objects -= sum(len(split.objects) for split in splits)
        note = f"their files are missing or unreadable; {objects} objects went with them"
        dropped.append(Dropped("images", images, note))
    return dropped
