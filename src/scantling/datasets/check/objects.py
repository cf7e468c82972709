"""Of a split without objects: say where its labels were looked for and what lies there."""

import os
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from ..dataset import Dataset
from ..findings import count_codes
from ..readers.files import Folders, is_image
from ..readers.label_files import find_label_places

LABELS = {".txt": "YOLO labels", ".xml": "VOC annotations", ".json": "JSON files"}
FIRST = 1_000  # images whose names are compared, and names that are read of a folder
DEPTH = 2  # folders below those where labels are looked for
MOST = 200  # folders that are looked into


def describe_no_objects(dataset: Dataset) -> str:
    """What a split without objects has instead: no files, empty files, errors, crowds."""
    what = f"the split {dataset.split!r} has {len(dataset):,} images and not one object"
    crowds = int(dataset.objects.crowd.sum())
    if crowds:
        return f"{what} but {crowds:,} crowds (`iscrowd`), which are neither learnt nor judged"
    errors = count_codes(dataset.errors)
    if errors:
        shown = ", ".join(f"{count:,} × {code}" for code, count in errors.items())
        what += f" that can be used, with errors in the data: {shown}"
    without = [image for image in dataset.images if image.label_file is None]
    empty = len(dataset) - len(without)
    if dataset.format == "coco":
        return what if errors else f"{what}: none of its annotations is of one of its images"
    if not without:
        return what if errors else f"{what}: its label files, such as {_first(dataset)}, are empty"
    first = without[0].path
    looked = " and ".join(repr(str(path)) for path in _looked_for(dataset, first))
    what += f": the label file of {first.name!r} was looked for as {looked}"
    if empty:
        what += f"; the {empty:,} label files that are there, such as {_first(dataset)}, are empty"
    near = find_labels_near(dataset)
    return f"{what}; {near}" if near else what


def find_labels_near(dataset: Dataset) -> str:
    """Where files lie that are named as the images, but where no reader looks; empty if nowhere."""
    found = _labels_near(dataset)
    if found is None:
        return ""
    folder, suffix, count = found
    return f"{count:,} {suffix} files named as its images lie in {str(folder)!r}"


def advise_labels(dataset: Dataset) -> str:
    """What to do about it: of files that are near, by their kind."""
    found = _labels_near(dataset)
    images = [image.path for image in dataset.images if image.label_file is None]
    if found is None or not images:
        return "Label the images, or name another split"
    suffix = found[1]
    if suffix.lower() != ".txt" or dataset.format not in ("yolo", "darknet"):
        kind = LABELS[suffix.lower()]
        return f"If these are {kind}, give the data in that format; see `scantling data --help`"
    wanted = _looked_for(dataset, images[0])
    if len(wanted) > 1:
        return f"Rename that folder: {str(wanted[0].parent)!r} is where they belong"
    return (
        "Move these files beside the images; or put the images into a folder called 'images'"
        " and these into one called 'labels'"
    )


def _first(dataset: Dataset) -> str:
    return repr(str(next(image.label_file for image in dataset.images if image.label_file)))


def _looked_for(dataset: Dataset, image: Path) -> tuple[Path, ...]:
    """Where a reader looked for the label file of an image."""
    if dataset.format == "voc":
        return (image.parent.parent / "Annotations" / f"{image.stem}.xml",)
    return tuple(Path(place) for place in find_label_places(str(image)))


def _labels_near(dataset: Dataset) -> tuple[Path, str, int] | None:
    """The folder with the most files named as unlabelled images: (folder, suffix, how many)."""
    images = [image.path for image in dataset.images[:FIRST] if image.label_file is None]
    if not images:
        return None
    stems = {image.stem.lower() for image in images}
    best: tuple[Path, str, int] | None = None
    for folder in _folders_near(dataset, images[0]):
        names = sorted(Folders().names(str(folder)))[: 4 * FIRST]
        if _has_own_images(folder, names, images[0].parent):
            continue
        counts = Counter(
            suffix
            for name in names
            for stem, suffix in (os.path.splitext(name),)  # noqa: PTH122 - of as many
            if suffix.lower() in LABELS and stem.lower() in stems
        )
        for suffix, count in counts.most_common(1):
            if best is None or count > best[2]:
                best = folder, suffix, count
    return best


def _has_own_images(folder: Path, names: list[str], wanted: Path) -> bool:
    """Whether labels in a folder belong to other images: there, or where YOLO has them."""
    if folder in (wanted, wanted.absolute()):
        return False
    *above, parts = str(folder).rpartition(f"{os.sep}labels")
    there = "" if not above[1] else f"{above[0]}{os.sep}images{parts}"
    return any(map(is_image, names)) or (
        there not in ("", str(wanted), str(wanted.absolute())) and os.path.isdir(there)  # noqa: PTH112
    )


def _folders_near(dataset: Dataset, image: Path) -> Iterator[Path]:
    """The folder of the images and those beside it, of the data set and below, at most `MOST`."""
    home = dataset.source if dataset.source.is_dir() else dataset.source.parent
    starts = dict.fromkeys((image.parent, image.parent.parent, home.absolute(), home))
    folders = dict.fromkeys(place for start in starts for place in _walk(start, DEPTH))
    return islice(iter(folders), MOST)


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    yield folder
    if depth == 0:
        return
    try:
        with os.scandir(folder) as entries:
            below = [entry.path for entry in islice(entries, 4 * FIRST) if entry.is_dir()]
    except OSError:
        return
    for path in sorted(below)[:MOST]:
        yield from _walk(Path(path), depth - 1)
