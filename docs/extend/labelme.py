"""LabelMe: a folder of images, each with a JSON file of rectangles beside it.

Format: https://github.com/wkentaro/labelme: `shapes`, each with a `label`, a `shape_type` and
`points` in pixels; `imagePath`, from the folder of the JSON file.
"""

from os.path import normpath
from pathlib import Path
from typing import Any

import numpy as np

from scantling.datasets.dataset import Dataset, LabelledImage
from scantling.datasets.findings import Problems, data_error, shorten
from scantling.datasets.readers import Reader
from scantling.datasets.readers.files import HeaderReader, name_images, read_size
from scantling.datasets.readers.table import check_boxes, check_names, make_table
from scantling.datasets.safe_json import read_json
from scantling.errors import InvalidData, InvalidSource
from scantling.images.read import check_regular
from scantling.structures import FloatArray

FRONT = 2**16  # bytes of a file that are looked at to know its format


def fits(source: Path) -> bool:
    """Whether a folder holds JSON files of which the first has shapes near its beginning."""
    first = next(iter(_files(source)), None)
    try:
        if first is None or not check_regular(first):
            return False
        with first.open("rb") as file:
            return b'"shapes"' in file.read(FRONT)
    except (InvalidSource, OSError):
        return False


def list_splits(source: Path) -> tuple[str, ...]:  # noqa: ARG001 - a reader gets it
    """One split: all images of the folder."""
    return ("all",)


def read(source: Path, split: str, *, problems: Problems, reader: HeaderReader) -> Dataset:
    """Read all rectangles; other shapes, and what is no LabelMe file, become findings.

    Raises:
        InvalidData: there is no LabelMe file, or the labels cannot be names of classes.
    """
    documents = _read_files(source, problems)
    if not documents:
        raise data_error("E105", source, "has no JSON file of LabelMe")
    image_ids = name_images([str(path) for path in documents])
    images, kept = [], []
    for (path, (file, shapes)), image_id in zip(documents.items(), image_ids, strict=True):
        for place, shape in enumerate(shapes):
            points = _read_corners(shape)
            if points is None:
                problem = f"shape {place} is no rectangle of two points with a label"
                problems.add("E201", problem, file, image=path)
            else:
                kept.append((len(images), place, shape["label"].strip(), points))
        size = read_size(path, problems, reader, file=file)
        images.append(LabelledImage(path, image_id, size, file))
    names = check_names(sorted({label for _, _, label, _ in kept}), source, problems=problems)
    table = make_table(
        np.array([[*points.min(0), *points.max(0)] for *_, points in kept]).reshape(-1, 4),
        np.array([names.index(label) for _, _, label, _ in kept], np.int64),
        np.array([index for index, *_ in kept], np.int64),
        marks=np.array([place for _, place, _, _ in kept], np.int64),
    )

    def locate(row: int) -> tuple[Path, int | None, str]:
        image = images[int(table.image_index[row])]
        return image.label_file or image.path, None, f"shape {int(table.marks[row])}"

    usable = check_boxes(table, tuple(images), problems=problems, locate=locate, names=names)
    labels = tuple(range(len(names)))
    objects, findings = usable.to_objects(), problems.result()
    return Dataset(source, "labelme", split, names, labels, tuple(images), objects, findings)


LABELME = Reader(fits, list_splits, read, "a folder of images with a LabelMe .json beside each")


def _files(source: Path) -> list[Path]:
    return sorted(source.glob("*.json")) if source.is_dir() else []


def _read_files(source: Path, problems: Problems) -> dict[Path, tuple[Path, list[Any]]]:
    """The file of each image, and its shapes."""
    found: dict[Path, tuple[Path, list[Any]]] = {}
    for file in _files(source):
        try:
            content, _ = read_json(file)
        except InvalidData as error:
            problems.add_error(error)
            continue
        parts = content if isinstance(content, dict) else {}
        shapes, name = parts.get("shapes"), parts.get("imagePath")
        if not isinstance(shapes, list) or not isinstance(name, str) or "\0" in name:
            problems.add("E110", "expected an object with a list of shapes, and an imagePath", file)
            continue
        path = Path(normpath(file.parent / name))
        if path in found:
            problems.add("W114", f"{shorten(name)} has a file already", file, image=path)
        else:
            found[path] = (file, shapes)
    return found


def _read_corners(shape: Any) -> FloatArray | None:
    """(2, 2) x, y of opposite corners; None of what is no rectangle with a label."""
    if not isinstance(shape, dict) or shape.get("shape_type") != "rectangle":
        return None
    label = shape.get("label")
    if not isinstance(label, str) or not label.strip():
        return None
    try:
        points = np.asarray(shape.get("points"), np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    return points if points.shape == (2, 2) and np.isfinite(points).all() else None
