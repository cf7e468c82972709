"""Images with a text file each, as YOLO and darknet have them → a data set."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...structures import IntArray
from ..dataset import Columns, Dataset, LabelledImage
from ..findings import Problems, shorten
from .files import Folders, HeaderReader, is_image, name_images, read_size
from .label_text import Grammar, read_labels
from .table import Locator, ObjectTable, add_findings, check_boxes, make_table, sizes_of

# Shares of the image, so 1 is its whole side. A box that is said to reach to twice that is not a
# bad box but another unit: pixels, or per cent.
MOST = 2.0
# Text files that tools leave among labels.
NOT_LABELS = frozenset(
    ("classes", "labels", "train", "val", "valid", "test", "trainval", "readme", "notes", "data",
     "obj", "predefined_classes", "license")
)  # fmt: skip

_IMAGES = re.compile(r"(.*[\\/])images([\\/])", re.DOTALL)
_VOC_IMAGES = re.compile(r"(.*[\\/])JPEGImages([\\/])", re.DOTALL)
_ANY_IMAGES = re.compile(r"(.*[\\/])(?:images|JPEGImages)([\\/])", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class Listed:
    """An image that a split lists, and where it is listed."""

    path: str
    file: Path  # the list or the file that names the folder
    line: int | None = None


@dataclass(frozen=True)
class TextDataset:
    """One split as the file of a YOLO or darknet data set describes it."""

    source: Path
    format: str
    split: str
    names: tuple[str, ...]
    listed: list[Listed]
    grammar: Grammar


def find_label_places(image: str) -> tuple[str, ...]:
    """The paths at which the label file of an image is looked for, in turn.

    The last `/images/` of the path is exchanged for `/labels/`, or `/JPEGImages/`, as darknet does;
    the last place is beside the image.
    """
    beside = os.path.splitext(image)[0] + ".txt"  # noqa: PTH122 - of a hundred thousand paths
    places = [_exchange(pattern, beside) for pattern in (_IMAGES, _VOC_IMAGES)]
    return (*filter(None, places), beside)


def _exchange(pattern: re.Pattern[str], path: str) -> str | None:
    """A path with `labels` in place of the last folder of images; None where there is none."""
    found = pattern.match(path)  # not `sub`, which would look from every letter on
    return f"{found[1]}labels{found[2]}{path[found.end() :]}" if found else None


def find_label_file(image: str, folders: Folders) -> tuple[str, bool]:
    """The label file of an image, and whether it is there.

    Where no file is called so, one whose name differs in upper and lower case alone is taken, such
    as `Labels/A.TXT` for `images/a.jpg`: unless it belongs to another image, or two could be meant.
    """
    places = find_label_places(image)
    for path in places:
        if folders.has(path):
            return path, True
    for path in (*places, _exchange(_ANY_IMAGES, places[-1]) or places[-1]):
        called = folders.find(path)
        if called is not None and _is_label_of(image, called, folders):
            return called, True
    return places[0], False


def _is_label_of(image: str, label: str, folders: Folders) -> bool:
    """Whether a label file spelt otherwise is that of an image, and not of one spelt alike."""
    folder, name = os.path.split(image)
    stems = [os.path.splitext(os.path.basename(path))[0] for path in (name, label)]  # noqa: PTH119, PTH122
    if stems[0] == stems[1]:
        return True
    begins = stems[0].lower() + "."
    alike = [
        other for other in folders.names(folder) if other.lower().startswith(begins)
        and is_image(other)
    ]  # fmt: skip
    return len(alike) == 1


def read_text_dataset(data: TextDataset, problems: Problems, reader: HeaderReader) -> Dataset:
    """Read the label file of every image of a split; problems become findings."""
    folders = Folders()
    listed = _drop_repeated(data.listed, problems)
    ids = name_images([item.path for item in listed])
    images: list[LabelledImage] = []
    values, marks = [np.empty((0, 5))], [np.empty(0, np.int64)]
    owners: list[int] = []
    for index, (item, image_id) in enumerate(zip(listed, ids, strict=True)):
        path = Path(item.path)
        text, found = find_label_file(item.path, folders)
        label_file = Path(text)
        size = read_size(path, problems, reader, file=item.file, line=item.line)
        images.append(LabelledImage(path, image_id, size, label_file if found else None))
        if found:
            rows, lines = read_labels(label_file, data.grammar, problems=problems, image=path)
            values.append(rows)
            marks.append(lines)
            owners += [index] * len(rows)
        else:
            problems.add("W219", "is not there: no objects are read", label_file, image=path)
    _report_orphans(images, folders, problems)
    table = _to_pixels(
        np.concatenate(values),
        np.array(owners, np.int64),
        np.concatenate(marks),
        tuple(images),
        data.names,
        problems,
    )
    checked = check_boxes(
        table, tuple(images), problems=problems, locate=_locator(table, images), names=data.names
    )
    return Dataset(
        data.source, data.format, data.split, data.names, tuple(range(len(data.names))),
        tuple(images), checked.to_objects(), problems.result(),
    )  # fmt: skip


def _locator(table: ObjectTable, images: list[LabelledImage]) -> Locator:
    def locate(row: int) -> tuple[Path, int | None, str]:
        image = images[int(table.image_index[row])]
        return image.label_file or image.path, int(table.marks[row]), ""

    return locate


def _drop_repeated(listed: list[Listed], problems: Problems) -> list[Listed]:
    """Remove repeated images, keeping the order."""
    first: dict[str, Listed] = {}
    for item in listed:
        known = first.setdefault(os.path.normpath(item.path), item)
        if known is not item:
            where = f" on line {known.line}" if known.line and known.file == item.file else ""
            message = f"{shorten(item.path, length=200)} is there already{where}"
            problems.add("W114", message, item.file, line=item.line, image=Path(item.path))
    return list(first.values())


def _to_pixels(
    values: Columns,
    owners: IntArray,
    marks: IntArray,
    images: tuple[LabelledImage, ...],
    names: tuple[str, ...],
    problems: Problems,
) -> ObjectTable:
    """Normalised boxes → pixels; invalid rows are E203, E205, E206, E208, E212.

    Objects of an image without a size are left out: what is wrong with the image says why.
    """
    raw = make_table(np.zeros((len(values), 4)), owners * 0, owners, marks=marks)
    locate = _locator(raw, list(images))
    classes, box = values[:, 0], values[:, 1:]
    usable = np.ones(len(values), np.bool_)

    def refuse(code: str, bad: Any, describe: Callable[[int], str]) -> None:
        rows = np.flatnonzero(bad & usable)
        add_findings(problems, code, rows, describe, locate=locate,
               image_of=lambda row: images[int(owners[row])].path)  # fmt: skip
        usable[rows] = False

    def show(row: int) -> str:
        return "x {:g}, y {:g}, width {:g}, height {:g}".format(*box[row].tolist())

    with np.errstate(invalid="ignore"):
        refuse("E203", ~np.isfinite(values).all(axis=1), show)
        refuse("E205", np.floor(classes) != classes,
               lambda row: f"class {classes[row]:g}; expected a whole number")  # fmt: skip
        refuse("E206", (classes < 0) | (classes >= len(names)),
               lambda row: f"class {classes[row]:.0f}; expected 0 to {len(names) - 1}")  # fmt: skip
        refuse("E212", (np.abs(box) > MOST).any(axis=1),
               lambda row: f"{show(row)}; expected shares of the image, from 0 to 1")  # fmt: skip
        refuse("E208", (box[:, 2:] < 0).any(axis=1), show)
    size = sizes_of(images)[owners] if len(images) else np.empty((0, 2))
    usable &= ~np.isnan(size).any(axis=1)
    scale = size[usable][:, ::-1]  # (width, height)
    centre, half = box[usable, :2], box[usable, 2:] / 2
    boxes = np.concatenate([(centre - half) * scale, (centre + half) * scale], axis=1)
    labels = classes[usable].astype(np.int64)
    return make_table(boxes, labels, owners[usable], marks=marks[usable])


def _report_orphans(images: list[LabelledImage], folders: Folders, problems: Problems) -> None:
    """W220: label files in the folders of this split's labels without an image of their name."""
    stems: dict[str, set[str]] = {}
    for image in images:
        if image.label_file is not None:
            there = stems.setdefault(os.path.dirname(image.label_file), set())  # noqa: PTH120
            there.add(os.path.dirname(image.path))  # noqa: PTH120
    for folder, image_folders in sorted(stems.items()):
        known = {
            os.path.splitext(name)[0].lower()  # noqa: PTH122
            for image_folder in image_folders
            for name in folders.names(image_folder)
            if is_image(name)
        }
        for name in sorted(folders.names(folder)):
            stem, suffix = os.path.splitext(name)  # noqa: PTH122
            if suffix.lower() == ".txt" and stem.lower() not in known | NOT_LABELS:
                problems.add("W220", "there is no image of its name", Path(folder, name))
