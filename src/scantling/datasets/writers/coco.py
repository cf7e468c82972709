"""COCO: one JSON a split in `annotations`, its images in a folder named as the split.

Format: https://cocodataset.org/#format-data
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .files import ImageMode, name_files, place_images
from .values import Dropped, SplitPlan, WritePlan

DIGITS = 8  # after the point: far below a pixel, and what arithmetic adds does not show
LARGEST_ID = 2**53  # whole numbers that every reader of JSON keeps


def write_coco(
    plan: WritePlan, folder: Path, *, images: ImageMode, advance: Callable[[], None]
) -> tuple[Dropped, ...]:
    """Write `annotations/instances_SPLIT.json` and `SPLIT/`; all flags and areas are kept.

    COCO itself has no difficult flag; it is written as `"difficult": 1`, which other readers pass
    over.
    """
    named, dropped = name_files(plan.splits, one_folder=False)
    (folder / "annotations").mkdir()
    renumbered = 0
    for split, names in zip(plan.splits, named, strict=True):
        ids = _number_images(split)
        renumbered += sum(
            number != image.image_id for number, image in zip(ids, split.images, strict=True)
        )
        place_images(split, names, folder / split.name, images=images, advance=advance)
        path = folder / "annotations" / f"instances_{split.name}.json"
        with path.open("w", encoding="utf-8") as file:
            file.writelines(_json_lines(plan, split, names, ids))
    if renumbered:
        note = "COCO's are whole numbers; they were numbered"
        dropped.append(Dropped("image ids", renumbered, note))
    difficult = sum(int(split.objects.difficult.sum()) for split in plan.splits)
    if difficult:
        note = "kept under the key `difficult`, which other readers pass over: to them they count"
        dropped.append(Dropped("difficult flags", difficult, note))
    return tuple(dropped)


def _number_images(split: SplitPlan) -> list[int]:
    """Integer ids of the images: their own where they are integers, else the next free one."""
    taken = {image.image_id for image in split.images if _is_number(image.image_id)}
    used: set[int | str] = set()
    ids, free = [], 1
    for image in split.images:
        number = image.image_id
        if not isinstance(number, int) or not _is_number(number) or number in used:
            while free in taken or free in used:
                free += 1
            number = free
        used.add(number)
        ids.append(number)
    return ids


def _is_number(image_id: int | str) -> bool:
    return isinstance(image_id, int) and 0 <= image_id <= LARGEST_ID


def _json_lines(
    plan: WritePlan, split: SplitPlan, names: Sequence[str], ids: Sequence[int]
) -> Iterator[str]:
    """The file line by line, an image or object a line, so that memory does not grow with it."""
    yield '{"info": {"description": ' + json.dumps(f"{plan.name} {split.name}") + "},\n"
    yield '"licenses": [],\n"categories": [\n'
    yield from _joined(
        {"id": category_id, "name": name, "supercategory": "none"}
        for category_id, name in zip(plan.category_ids, plan.names, strict=True)
    )
    yield '\n],\n"images": [\n'
    yield from _joined(
        {"id": number, "file_name": name, "width": size[1], "height": size[0]}
        for number, name, size in zip(
            ids, names, (image.size or (0, 0) for image in split.images), strict=True
        )
    )
    yield '\n],\n"annotations": [\n'
    yield from _joined(_annotations(plan, split, ids))
    yield "\n]}\n"


def _annotations(plan: WritePlan, split: SplitPlan, ids: Sequence[int]) -> Iterator[dict[str, Any]]:
    objects = split.objects
    sides = objects.boxes[:, 2:] - objects.boxes[:, :2]
    boxes = np.round(np.concatenate([objects.boxes[:, :2], sides], axis=1), DIGITS)
    columns = zip(
        objects.labels.tolist(),
        objects.image_index.tolist(),
        boxes.tolist(),
        np.round(objects.areas, DIGITS).tolist(),
        objects.crowd.tolist(),
        objects.difficult.tolist(),
        strict=True,
    )
    for number, (label, image, box, area, crowd, difficult) in enumerate(columns, start=1):
        record = {
            "id": number,  # from 1: to pycocotools an id of 0 is no match
            "image_id": ids[image],
            "category_id": plan.category_ids[label],
            "bbox": box,
            "area": area,
            "iscrowd": int(crowd),
        }
        yield record | {"difficult": 1} if difficult else record


def _joined(records: Iterator[dict[str, Any]]) -> Iterator[str]:
    between = ""
    for record in records:
        yield between + json.dumps(record)
        between = ",\n"
