"""The annotations of a COCO file → a table, with a finding for each that cannot be used."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ...structures import IntArray
from ..dataset import Columns, Flags, ImageId, LabelledImage
from ..findings import Problems, shorten
from .coco_faults import HUGE, are_plain, fault_of, image_of
from .table import BEYOND, ObjectTable, add_findings, make_table, sizes_of

# How far width and height must lead out of the image, in shares of its side, before they are taken
# for the second corner where they fit as that; less is a box that reaches a little beyond.
FAR_BEYOND = 0.1
SMALLEST = 16  # sides of an image, in pixels, in which a box of one pixel can be told from shares
ROOM = 1.05, 1.0  # an area may be so many times that of the box, and so much more: rounding


def read_annotations(
    annotations: list[Any],
    by_id: dict[ImageId, int | None],
    labels: dict[int, int],
    images: tuple[LabelledImage, ...],
    *,
    file: Path,
    problems: Problems,
) -> tuple[ObjectTable, set[int]]:
    """Read the valid annotations, and which images have any.

    Finds E201 to E206, E208, E212, E217, E218, E228, E229 and W231.

    Args:
        by_id: the place of each image; None for one that was left out, whose objects are too.
        labels: the label of each category.
    """
    if are_plain(annotations, by_id, labels):
        rows = list(range(len(annotations)))
        labelled = {by_id[item["image_id"]] for item in annotations}
    else:
        rows, labelled = _pick(annotations, by_id, labels, images, file, problems)
    kept = [annotations[place] for place in rows]
    boxes = np.array([item["bbox"] for item in kept], np.float64).reshape(-1, 4)
    owners = np.array([by_id[item["image_id"]] for item in kept], np.int64)
    places = np.array(rows, np.int64)

    def add(code: str, bad: Any, describe: Callable[[int], str]) -> None:
        add_findings(
            problems, code, np.flatnonzero(bad), describe,
            locate=lambda row: (file, None, f"annotations[{rows[row]}]"),
            image_of=lambda row: images[int(owners[row])].path,
        )  # fmt: skip

    usable = _check_values(boxes, owners, images, add)
    areas = _read_areas(kept, boxes, usable, add)
    table = make_table(
        np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)[usable],
        np.array([labels[item["category_id"]] for item in kept], np.int64)[usable],
        owners[usable],
        crowd=np.array([bool(item.get("iscrowd", 0)) for item in kept], np.bool_)[usable],
        # not a key of COCO's own: a data set that was VOC's keeps its flags under it
        difficult=np.array([item.get("difficult") == 1 for item in kept], np.bool_)[usable],
        areas=areas[usable],
        marks=places[usable],
    )
    return table, {index for index in labelled if index is not None}


def _pick(
    annotations: list[Any],
    by_id: dict[ImageId, int | None],
    labels: dict[int, int],
    images: tuple[LabelledImage, ...],
    file: Path,
    problems: Problems,
) -> tuple[list[int], set[int | None]]:
    """Indices of the valid annotations, and the images that have any."""
    rows: list[int] = []
    labelled: set[int | None] = set()
    ids: set[int | str] = set()
    for place, annotation in enumerate(annotations):
        fault = fault_of(annotation, by_id, labels, ids)
        index = image_of(annotation, by_id)
        labelled.add(index)
        if fault is not None:
            image = None if index is None else images[index].path
            problems.add(*fault, file, item=f"annotations[{place}]", image=image)
        elif index is not None:
            rows.append(place)
    return rows, labelled


def _check_values(
    boxes: Columns,
    owners: IntArray,
    images: tuple[LabelledImage, ...],
    add: Callable[[str, Any, Callable[[int], str]], None],
) -> Flags:
    """Flags of the valid (x, y, width, height); E208 and E212 for the others."""
    size = sizes_of(images)[owners][:, ::-1] if len(owners) else np.empty((0, 2))
    first, second = boxes[:, :2], boxes[:, 2:]

    def show(row: int) -> str:
        return "bbox is [{:g}, {:g}, {:g}, {:g}]".format(*boxes[row].tolist())

    negative = (second < 0).any(axis=1)
    with np.errstate(invalid="ignore"):
        large = (size >= SMALLEST).all(axis=1)
        shares = (boxes >= 0).all(axis=1) & (boxes <= 1).all(axis=1) & (second > 0).all(axis=1)
        far = (first + second > size * (1 + FAR_BEYOND) + BEYOND).any(axis=1)
        fits = (second > first).all(axis=1) & (second <= size).all(axis=1)
    shares &= large
    corners = far & fits & (first >= 0).all(axis=1)
    add("E208", negative, show)
    add("E212", shares, lambda row: f"{show(row)}; expected pixels, not shares of the image")
    add("E212", corners,
        lambda row: f"{show(row)} fits as two corners; expected x, y, width, height")  # fmt: skip
    return np.asarray(~(negative | shares | corners))


def _read_areas(
    annotations: list[Any],
    boxes: Columns,
    usable: Flags,
    add: Callable[[str, Any, Callable[[int], str]], None],
) -> Columns:
    """(M,) the areas as the file has them; those of the boxes where it has none that is a number.

    W231 where an area is none that something in its box can have; it is still what counts, as with
    pycocotools, where it is a number at all.
    """
    given = [item.get("area") for item in annotations]
    sound = np.array(
        [type(area) in (int, float) and -HUGE * HUGE < area < HUGE * HUGE for area in given],
        np.bool_,
    )
    absent = np.array([area is None for area in given], np.bool_)
    of_box = boxes[:, 2:].prod(axis=1)
    areas = np.array(
        [area if fine else 0.0 for area, fine in zip(given, sound, strict=True)], np.float64
    )
    areas = np.where(sound, areas, of_box)
    factor, more = ROOM
    wrong = (areas <= 0) & (of_box > 0) | (areas > of_box * factor + more) | ~sound
    add("W231", wrong & ~absent & usable,
        lambda row: f"area is {shorten(given[row])}, that of the box {of_box[row]:g}")  # fmt: skip
    return areas
