"""LabelMe: a folder of images, each with a JSON file of rectangles beside it.

Format: https://github.com/wkentaro/labelme: `shapes`, each with a `label`, a `shape_type` and
`points` in pixels; `imagePath`, from the folder of the JSON file.
"""

from pathlib import Path
from typing import Any

import numpy as np

from scantling.datasets.dataset import Dataset, LabelledImage
from scantling.datasets.findings import Problems, data_error
from scantling.datasets.readers import Reader
from scantling.datasets.readers.files import HeaderReader, name_images, read_size
from scantling.datasets.readers.table import check_boxes, check_names, make_table
from scantling.datasets.safe_json import read_json


def fits(source: Path) -> bool:
    """Whether a folder holds JSON files that have shapes."""
    first = next(iter(_files(source)), None)
    return first is not None and b'"shapes"' in first.read_bytes()


def list_splits(source: Path) -> tuple[str, ...]:  # noqa: ARG001 - a reader gets it
    """One split: all images of the folder."""
    return ("all",)


def read(source: Path, split: str, *, problems: Problems, reader: HeaderReader) -> Dataset:
    """Read all rectangles; other shapes, and what is no LabelMe file, become findings.

    Raises:
        InvalidData: there is no JSON file, or one cannot be read.
    """
    files = _files(source)
    if not files:
        raise data_error("E105", source, "has no JSON files")
    documents = [_read_file(file) for file in files]
    images, rows = [], []
    paths = [
        file.parent / str(one["imagePath"]) for file, one in zip(files, documents, strict=True)
    ]
    for index, (path, file, image_id) in enumerate(
        zip(paths, files, name_images([str(path) for path in paths]), strict=True)
    ):
        size = read_size(path, problems, reader, file=file)
        images.append(LabelledImage(path, image_id, size, file))
        rows += [(index, place, shape) for place, shape in enumerate(documents[index]["shapes"])]
    kept = []
    for index, place, shape in rows:
        if shape.get("shape_type") == "rectangle" and np.shape(shape.get("points")) == (2, 2):
            kept.append(
                (index, place, str(shape["label"]), np.asarray(shape["points"], np.float64))
            )
        else:
            problems.add("E104", f"shape {place} is no rectangle of two points", files[index])
    names = check_names(sorted({label for _, _, label, _ in kept}), source, problems=problems)
    table = make_table(
        np.array([[*points.min(0), *points.max(0)] for *_, points in kept]).reshape(-1, 4),
        np.array([names.index(label) for _, _, label, _ in kept], np.int64),
        np.array([index for index, *_ in kept], np.int64),
        marks=np.array([place for _, place, _, _ in kept], np.int64),
    )

    def locate(row: int) -> tuple[Path, int | None, str]:
        return files[int(table.image_index[row])], None, f"shape {int(table.marks[row])}"

    usable = check_boxes(table, tuple(images), problems=problems, locate=locate, names=names)
    labels = tuple(range(len(names)))
    objects, findings = usable.to_objects(), problems.result()
    return Dataset(source, "labelme", split, names, labels, tuple(images), objects, findings)


LABELME = Reader(fits, list_splits, read, "a folder of images with a LabelMe .json beside each")


def _files(source: Path) -> list[Path]:
    return sorted(source.glob("*.json")) if source.is_dir() else []


def _read_file(path: Path) -> dict[str, Any]:
    content, _ = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        raise data_error("E104", path, "expected an object with a list of shapes")
    if not isinstance(content.get("imagePath"), str):
        raise data_error("E110", path, "names no image: imagePath is missing")
    return content
