"""Small labelled data sets made by hand, for the tests of what is done with them."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from scantling.datasets.dataset import Dataset, LabelledImage, make_objects


def write_picture(path: Path, size: tuple[int, int] = (80, 120), *, grey: int = 90) -> None:
    """An image file of one grey, (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((*size, 3), grey, np.uint8))


def make_dataset(
    folder: Path,
    rows: Sequence[tuple[int, int, Sequence[float]]],
    *,
    split: str = "train",
    names: Sequence[str] = ("cat", "dog"),
    files: Sequence[str] = ("a.jpg", "b.jpg"),
    size: tuple[int, int] = (80, 120),
    crowd: Sequence[int] = (),
    difficult: Sequence[int] = (),
    areas: Sequence[float] | None = None,
    format: str = "yolo",  # noqa: A002 - as the value calls it
    category_ids: Sequence[int] | None = None,
) -> Dataset:
    """A split whose images are really there; `rows` are (place of the image, label, box).

    `crowd` and `difficult` are places in `rows`.
    """
    for file in files:
        write_picture(folder / file, size)
    images = tuple(LabelledImage(folder / file, Path(file).stem, size) for file in files)
    count = np.arange(len(rows))
    objects = make_objects(
        [box for _, _, box in rows],
        [label for _, label, _ in rows],
        [image for image, _, _ in rows],
        crowd=np.isin(count, crowd),
        difficult=np.isin(count, difficult),
        areas=areas,
    )
    ids = tuple(category_ids or range(len(names)))
    return Dataset(folder, format, split, tuple(names), ids, images, objects)
