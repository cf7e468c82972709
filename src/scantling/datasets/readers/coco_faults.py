"""Validate COCO annotations: one at a time, and a fast check of all columns at once."""

from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy as np

from ..dataset import ImageId
from ..findings import shorten
from ..safe_json import MAX_ID, is_id

HUGE = 10**15  # a coordinate of more is no pixel of anything

Fault = tuple[str, str]  # code, message


def are_plain(
    annotations: list[Any], by_id: dict[ImageId, int | None], labels: dict[int, int]
) -> bool:
    """Whether all annotations are valid, checked column by column: a tenth of the time.

    False is no fault: it only says that each has to be looked at.
    """
    try:
        boxes = [item["bbox"] for item in annotations]
        images = [item["image_id"] for item in annotations]
        categories = [item["category_id"] for item in annotations]
        ids = [item["id"] for item in annotations]
        flags = [item.get(key, 0) for item in annotations for key in ("iscrowd", "difficult")]
        outlines = [item.get("segmentation") for item in annotations]
    except (KeyError, TypeError, AttributeError):
        return False
    if not (
        _only(map(type, annotations), {dict})
        and _only(map(type, boxes), {list})
        and _only(map(len, boxes), {4})
        and _only(map(type, chain.from_iterable(boxes)), {int, float})
        and _only(map(type, images), {int, str})
        and _only(map(type, categories), {int})
        and _only(map(type, ids), {int, str})
        and all(map(_are_ids, (images, categories, ids)))
        and _only(map(type, flags), {int, bool})
    ):
        return False
    placed = {name for name, place in by_id.items() if place is not None}
    if not (_only(images, placed) and _only(categories, set(labels)) and _only(flags, {0, 1})):
        return False
    polygons = list(chain.from_iterable(item for item in outlines if isinstance(item, list)))
    if not _only(map(type, polygons), {list}):
        return False
    counts = set(map(len, polygons))
    try:
        largest = np.abs(np.array(boxes, np.float64)).max(initial=0)
    except OverflowError:
        return False
    return (
        bool(largest < HUGE)
        and len(set(ids)) == len(ids)
        and all(count >= 6 and count % 2 == 0 for count in counts)
    )


def _are_ids(values: list[int | str]) -> bool:
    """Whether none is too large for an id; asked before any of them becomes a key."""
    numbers = [value for value in values if type(value) is int]
    return not numbers or (min(numbers) >= -MAX_ID and max(numbers) <= MAX_ID)


def _only(values: Iterable[Any], allowed: set[Any]) -> bool:
    return set(values) <= allowed


def image_of(annotation: Any, by_id: dict[ImageId, int | None]) -> int | None:
    """The index of an annotation's image; None where it has no known one."""
    image_id = annotation.get("image_id") if isinstance(annotation, dict) else None
    return by_id.get(image_id) if is_id(image_id) else None  # type: ignore[arg-type]


def fault_of(
    annotation: Any, by_id: dict[ImageId, int | None], labels: dict[int, int], ids: set[int | str]
) -> Fault | None:
    """The problem of one annotation, if any, before its numbers are checked.

    Finds E201 to E206, E217, E218, E228 and E229.

    Args:
        ids: of the annotations before it; its own is added.
    """
    if not isinstance(annotation, dict):
        return "E201", f"is {shorten(annotation)}; expected image_id, category_id and bbox"
    for key in ("image_id", "category_id", "bbox"):
        if annotation.get(key) is None:
            return "E201", f"has no {key}"
    image_id, category = annotation["image_id"], annotation["category_id"]
    if not is_id(image_id) or image_id not in by_id:
        return "E218", f"there is no image with the id {shorten(image_id)}"
    if type(category) is not int:
        return "E205", f"category_id is {shorten(category)}; expected a whole number"
    if not is_id(category) or category not in labels:
        return "E206", f"there is no category with the id {shorten(category)}"
    number = annotation.get("id")
    if isinstance(number, (int, str)):
        if not is_id(number):
            return "E201", f"its id is {shorten(number)}; expected {MAX_ID:,} at most"
        if number in ids:
            return "E229", f"the id {shorten(number)} is there already"
        ids.add(number)
    return (
        _fault_of_box(annotation["bbox"])
        or _fault_of_flag("iscrowd", annotation.get("iscrowd", 0))
        or _fault_of_flag("difficult", annotation.get("difficult", 0))  # COCO has none, some add it
        or _fault_of_outline(annotation.get("segmentation"))
    )


def _fault_of_box(box: Any) -> Fault | None:
    if isinstance(box, str):
        return "E204", f"bbox is the text {shorten(box)}; expected [x, y, width, height]"
    if not isinstance(box, list) or len(box) != 4:
        return "E201", f"bbox is {shorten(box)}; expected [x, y, width, height]"
    for value in box:
        if type(value) is not float and type(value) is not int:
            return "E202", f"bbox holds {shorten(value)}; expected a number"
        if not -HUGE < value < HUGE:
            return "E203", f"bbox is {shorten(box)}"
    return None


def _fault_of_flag(name: str, flag: Any) -> Fault | None:
    if isinstance(flag, (int, float)) and flag in (0, 1):
        return None
    return "E228", f"{name} is {shorten(flag)}; expected 0 or 1"


def _fault_of_outline(outline: Any) -> Fault | None:
    """The problem of a list of polygons, if any; run-length masks are not checked."""
    if not isinstance(outline, list):
        return None
    for polygon in outline:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            return "E217", f"segmentation holds {shorten(polygon)}; expected [x, y, x, y, x, y, …]"
    return None
