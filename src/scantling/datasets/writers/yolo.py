"""YOLO: `data.yaml`, `images/SPLIT` and `labels/SPLIT`, a text file an image."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import yaml

from ...errors import InvalidData
from .dropped import count_flags, count_ids, cut_boxes
from .files import ImageMode, name_files, place_images
from .shares import label_texts
from .values import Dropped, SplitPlan, WritePlan

SPLITS = ("train", "val", "test")


def write_yolo(
    plan: WritePlan, folder: Path, *, images: ImageMode, advance: Callable[[], None]
) -> tuple[Dropped, ...]:
    """Write `data.yaml`, `images/` and `labels/`. An image without objects has an empty file.

    Raises:
        InvalidData: no split is one that a `data.yaml` can name.
    """
    parts, of_splits = name_splits(plan)
    plan = replace(plan, parts=parts)
    parts, cut = cut_boxes(parts)
    named, renamed = name_files(parts, one_folder=False)
    where = {part.split: f"images/{part.split}" for part in parts}
    with (folder / "data.yaml").open("w", encoding="utf-8") as file:
        # no `path`: readers then take the folder of this file
        yaml.safe_dump(
            where | {"nc": len(plan.names), "names": dict(enumerate(plan.names))},
            file,
            sort_keys=False,
            allow_unicode=True,
            width=1_000_000,
        )
    for part, names in zip(parts, named, strict=True):
        place_images(part, names, folder / where[part.split], images=images, advance=advance)
        labels = folder / "labels" / part.split
        labels.mkdir(parents=True)
        for name, text in zip(names, label_texts(part), strict=True):
            (labels / name).with_suffix(".txt").write_text(text, encoding="utf-8")
    flags = count_flags(plan, "YOLO", difficult=False)
    return (*of_splits, *flags, *cut, *renamed, *count_ids(plan, named, "YOLO"))


def name_splits(plan: WritePlan) -> tuple[tuple[SplitPlan, ...], list[Dropped]]:
    """The splits by the three names that `data.yaml` has: `train2017` is `train`.

    A split that is none of them is left out; if it is the only one it becomes `train`.

    Raises:
        InvalidData: nothing would be left.
    """
    parts: dict[str, SplitPlan] = {}
    lost = []
    exact = {part.split for part in plan.parts}
    for part in plan.parts:
        name = role_of(part.split)
        if name is None and len(plan.parts) == 1:
            name = "train"
        if name is None or name in parts or (name != part.split and name in exact):
            note = f"{part.split!r}: a data.yaml names one each of train, val and test"
            lost.append(Dropped("splits", 1, note))
            continue
        if name != part.split:
            note = f"the split {part.split!r} is now called {name!r}"
            lost.append(Dropped("names of splits", 1, note))
        parts[name] = replace(part, split=name)
    if not parts:
        raise InvalidData(
            plan.name, "none of its splits is one of train, val and test", "Convert one at a time"
        )
    return tuple(parts.values()), lost


def role_of(split: str) -> str | None:
    """`train`, `val` or `test`, whichever a split is by its name; None if it is none of them.

    >>> role_of("val2017")
    'val'
    """
    word = split.lower().rstrip("0123456789_-.")
    if word in ("val", "valid", "validation", "dev"):
        return "val"
    return {"train": "train", "training": "train", "test": "test", "testing": "test"}.get(word)
