"""COCO data sets: one JSON file a split, with images, categories and annotations."""

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from ...errors import nearest_hint
from ..dataset import Dataset, ImageId, LabelledImage
from ..findings import Finding, Problems, data_error, shorten
from ..safe_json import MAX_ID, find_lines, is_id, read_json
from .coco_objects import read_annotations
from .files import Folders, HeaderReader, read_size
from .layout import find_json_files
from .moved_paths import MovedPaths
from .table import check_boxes, check_names

KEYS = ("info", "licenses", "images", "annotations", "categories", "type", "videos")
FIRST = 1_000  # images that decide in which folder all are looked for

_ITEM = re.compile(r"(images|annotations)\[([0-9]+)\]")


def list_splits(source: Path) -> tuple[str, ...]:
    """Names of the splits: `instances_val2017.json` holds `val2017`."""
    return tuple(sorted(find_json_files(source)))


def read(source: Path, split: str, *, problems: Problems, reader: HeaderReader) -> Dataset:
    """Read one split.

    The images are looked for beside the JSON file, in `images`, in a folder named as the split, in
    `images` and such a folder, and in the same places one folder up; where most are, all are meant.

    Raises:
        InvalidData: the file is no COCO file, or its categories cannot be used.
    """
    file = find_json_files(source)[split]
    content, text = read_json(file)
    _check_parts(content, file, problems)
    names, category_ids = _read_categories(content["categories"], file, problems)
    images, by_id, places = _read_images(content["images"], file, split, problems, reader)
    labels = {category: label for label, category in enumerate(category_ids)}
    annotations = content.get("annotations", [])
    table, labelled = read_annotations(
        annotations, by_id, labels, tuple(images), file=file, problems=problems
    )

    def locate(row: int) -> tuple[Path, int | None, str]:
        return file, None, f"annotations[{table.marks[row]}]"

    usable = check_boxes(table, tuple(images), problems=problems, locate=locate, names=names)
    for index, image in enumerate(images):
        if index not in labelled:
            problems.add("W221", "has no objects", file, item=f"images[{places[index]}]",
                         image=image.path)  # fmt: skip
    return Dataset(
        source, "coco", split, names, category_ids, tuple(images), usable.to_objects(),
        _with_lines(problems.result(), text),
    )  # fmt: skip


def _check_parts(content: Any, file: Path, problems: Problems) -> None:
    if not isinstance(content, dict):
        what = "a list, as detections are" if isinstance(content, list) else shorten(content)
        expected = "expected an object with images, categories and annotations"
        raise data_error("E103", file, f"holds {what}; {expected}")
    for key in ("images", "categories"):
        if key not in content:
            raise data_error("E110", file, f"has no {key!r}")
    if "annotations" not in content:
        problems.add("E110", "has no 'annotations'", file)
    for key in ("images", "categories", "annotations"):
        if not isinstance(content.get(key, []), list):
            raise data_error("E103", file, f"{key} is {shorten(content[key])}; expected a list")
    for key in content:
        if key not in KEYS:
            message = f"{shorten(key)} is no part of the format.{nearest_hint(key, KEYS)}"
            problems.add("W111", message.rstrip("."), file)
    if not content["images"]:
        raise data_error("E105", file, "its list of images is empty")


def _read_categories(
    categories: list[Any], file: Path, problems: Problems
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names and ids, in the order of the ids."""
    by_id: dict[int, str] = {}
    for place, category in enumerate(categories):
        number = category.get("id") if isinstance(category, dict) else None
        if type(number) is not int or not is_id(number):
            problem = f"categories[{place}] has no whole number up to {MAX_ID:,} as its id"
            raise data_error("E103", file, problem)
        name = category.get("name", "")
        if not isinstance(name, str):
            raise data_error("E108", file, f"categories[{place}] has no text as its name")
        if category["id"] in by_id:
            problem = f"categories[{place}]: the id {category['id']!s:.20} is there already"
            raise data_error("E107", file, problem, fix="Give each category an id of its own")
        by_id[category["id"]] = name
    ids = tuple(sorted(by_id))
    return check_names([by_id[place] for place in ids], file, problems=problems), ids


def _read_images(
    entries: list[Any], file: Path, split: str, problems: Problems, reader: HeaderReader
) -> tuple[list[LabelledImage], dict[ImageId, int | None], list[int]]:
    """The images; id → index (None: left out with a finding); their indices in the file."""
    folders = Folders()
    root, places_near = _find_root(entries, file, split, folders)
    moved = MovedPaths(file, [str(root), *places_near], folders)
    images: list[LabelledImage] = []
    by_id: dict[ImageId, int | None] = {}
    places: list[int] = []
    seen: set[str] = set()
    for place, entry in enumerate(entries):
        item = f"images[{place}]"
        fault = _fault_of_image(entry, by_id)
        inside = fault is None
        found = None
        if inside or (fault and fault[0] == "E104"):
            full = os.path.join(root, entry["file_name"])  # noqa: PTH118 - of as many
            found = full if inside and folders.has(full) else moved.find(entry["file_name"])
        if fault and not found:
            problems.add(*fault, file, item=item)
            if fault[0] == "E104" and isinstance(entry.get("id"), (int, str)):
                by_id.setdefault(entry["id"], None)
            continue
        name = entry["file_name"]
        path = Path(found or os.path.join(root, name))  # noqa: PTH118 - of as many
        if not found:
            message = f"{shorten(name, length=200)} is not in {str(root)!r}"
            problems.add("E301", message, file, item=item, image=path)
        if str(path) in seen:
            problems.add("W114", f"{shorten(name)} is there already", file, item=item, image=path)
        seen.add(str(path))
        size = _size_of(entry)
        if size is None:
            shown = f"width {shorten(entry.get('width'))}, height {shorten(entry.get('height'))}"
            problems.add("E223", f"{shown}; expected pixels", file, item=item, image=path)
            size = read_size(path, problems, reader, file=file) if found else None
        by_id[entry["id"]] = len(images)
        images.append(LabelledImage(path, entry["id"], size, file))
        places.append(place)
    moved.report(problems)
    if not images:
        raise data_error("E105", file, "none of its images can be used", fix="See its findings")
    return images, by_id, places


def _leads_out(name: str) -> bool:
    parts = name.replace("\\", "/")
    return (
        PurePosixPath(parts).is_absolute()
        or re.match(r"[A-Za-z]:/", parts) is not None
        or "\0" in name
        or ".." in parts.split("/")
    )


def _fault_of_image(entry: Any, by_id: dict[ImageId, int | None]) -> tuple[str, str] | None:
    if not isinstance(entry, dict):
        return "E110", f"is {shorten(entry)}; expected an image with id and file_name"
    image_id, name = entry.get("id"), entry.get("file_name")
    if not is_id(image_id):
        expected = f"a whole number up to {MAX_ID:,}, or text"
        return "E110", f"its id is {shorten(image_id)}; expected {expected}"
    if not isinstance(name, str) or not name:
        return "E110", f"its file_name is {shorten(name)}; expected the name of a file"
    if image_id in by_id:
        return "E112", f"the id {shorten(image_id)} is there already"
    if _leads_out(name):
        return "E104", f"its file_name {shorten(name)} leads out of the folder of the images"
    return None


def _size_of(entry: dict[str, Any]) -> tuple[int, int] | None:
    """(height, width), where both are given as whole positive numbers."""
    sides = []
    for side in (entry.get("height"), entry.get("width")):
        if not isinstance(side, (int, float)) or not 1 <= side < 10**9 or side != int(side):
            return None
        sides.append(int(side))
    return sides[0], sides[1]


def _find_root(
    entries: Sequence[Any], file: Path, split: str, folders: Folders
) -> tuple[Path, list[str]]:
    """The folder in which most of the first images are, that of the file where none is; and all
    folders that were looked in.
    """
    names = [
        entry["file_name"]
        for entry in entries[:FIRST]
        if isinstance(entry, dict) and isinstance(entry.get("file_name"), str)
    ]
    named = split if PurePosixPath(split).name == split else ""
    below = (".", "images", named, os.path.join("images", named), "JPEGImages")  # noqa: PTH118
    roots = [base / part for base in (file.parent, file.parent.parent) for part in below]
    counts = [sum(folders.has(str(root / name)) for name in names) for root in roots]
    return roots[counts.index(max(counts))], [str(root) for root in roots]


def _with_lines(findings: tuple[Finding, ...], text: str) -> tuple[Finding, ...]:
    """The findings with the lines on which their items begin."""
    found = [_ITEM.fullmatch(finding.item) for finding in findings]
    lines = {
        key: find_lines(text, key, [int(match[2]) for match in found if match and match[1] == key])
        for key in {match[1] for match in found if match}
    }
    return tuple(
        replace(finding, line=lines[match[1]].get(int(match[2]))) if match else finding
        for finding, match in zip(findings, found, strict=True)
    )
