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
    splits, of_splits = name_splits(plan)
    plan = replace(plan, splits=splits)
    splits, cut = cut_boxes(splits)
    named, renamed = name_files(splits, one_folder=False)
    where = {split.name: f"images/{split.name}" for split in splits}
    with (folder / "data.yaml").open("w", encoding="utf-8") as file:
        # no `path`: readers then take the folder of this file
        yaml.safe_dump(
            where | {"nc": len(plan.names), "names": dict(enumerate(plan.names))},
            file,
            sort_keys=False,
            allow_unicode=True,
            width=1_000_000,
        )
    for split, names in zip(splits, named, strict=True):
        place_images(split, names, folder / where[split.name], images=images, advance=advance)
        labels = folder / "labels" / split.name
        labels.mkdir(parents=True)
        for name, text in zip(names, label_texts(split), strict=True):
            (labels / name).with_suffix(".txt").write_text(text, encoding="utf-8")
    flags = count_flags(plan, "YOLO", difficult=False)
    return (*of_splits, *flags, *cut, *renamed, *count_ids(plan, named, "YOLO"))


def name_splits(plan: WritePlan) -> tuple[tuple[SplitPlan, ...], list[Dropped]]:
    """The splits by the three names that `data.yaml` has: `train2017` is `train`.

    A split that is none of them is left out; if it is the only one it becomes `train`.

    Raises:
        InvalidData: nothing would be left.
    """
    splits: dict[str, SplitPlan] = {}
    dropped = []
    exact = {split.name for split in plan.splits}
    for split in plan.splits:
        name = role_of(split.name)
        if name is None and len(plan.splits) == 1:
            name = "train"
        if name is None or name in splits or (name != split.name and name in exact):
            note = f"{split.name!r}: a data.yaml names one each of train, val and test"
            dropped.append(Dropped("splits", 1, note))
            continue
        if name != split.name:
            note = f"the split {split.name!r} is now called {name!r}"
            dropped.append(Dropped("names of splits", 1, note))
        splits[name] = replace(split, name=name)
    if not splits:
        raise InvalidData(
            plan.name, "none of its splits is one of train, val and test", "Convert one at a time"
        )
    return tuple(splits.values()), dropped


def role_of(split: str) -> str | None:
    """`train`, `val` or `test`, whichever a split is by its name; None if it is none of them.

    >>> role_of("val2017")
    'val'
    """
    word = split.lower().rstrip("0123456789_-.")
    if word in ("val", "valid", "validation", "dev"):
        return "val"
    return {"train": "train", "training": "train", "test": "test", "testing": "test"}.get(word)
