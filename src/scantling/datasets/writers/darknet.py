"""Darknet: a `.data` and a `.names` file, a list of images a split, labels beside the images."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ...errors import InvalidData
from ..darknet_files import DataFile, write_data, write_names
from .dropped import count_flags, count_ids, cut_boxes
from .files import ImageMode, name_files, place_images
from .shares import label_texts
from .values import Dropped, WritePlan
from .yolo import role_of


def write_darknet(
    plan: WritePlan, folder: Path, *, images: ImageMode, advance: Callable[[], None]
) -> tuple[Dropped, ...]:
    """Write `NAME.data`, `NAME.names`, `SPLIT.txt` and `SPLIT/`, each label beside its image.

    Paths are relative, so the folder can be moved; darknet takes them from the folder it runs in.
    A `.data` file names a training and a validation list; the lists of further splits are there,
    to be named in their place.

    Raises:
        InvalidData: the splits have neither of the two names.
        InvalidValue: a class name cannot stand in a line.
    """
    names_file = Path(f"{plan.name}.names")
    write_names(folder / names_file, plan.names)
    lists, unnamed = _choose_lists(plan)
    if not lists:
        problem = "none of its splits is called train or val, the two that darknet knows"
        raise InvalidData(plan.name, problem, "Convert one at a time")
    data = DataFile(
        classes=len(plan.names),
        train=lists.get("train"),
        valid=lists.get("valid"),
        names=names_file,
        backup=Path("backup"),
    )
    write_data(folder / f"{plan.name}.data", data)
    splits, cut = cut_boxes(plan.splits)
    named, renamed = name_files(splits, one_folder=False)
    for split, names in zip(splits, named, strict=True):
        place_images(split, names, folder / split.name, images=images, advance=advance)
        for name, text in zip(names, label_texts(split), strict=True):
            (folder / split.name / name).with_suffix(".txt").write_text(text, encoding="utf-8")
        listed = "".join(f"{split.name}/{name}\n" for name in names)
        (folder / f"{split.name}.txt").write_text(listed, encoding="utf-8")
    plan = replace(plan, splits=splits)
    flags = count_flags(plan, "darknet", difficult=False)
    return (*unnamed, *flags, *cut, *renamed, *count_ids(plan, named, "darknet"))


def _choose_lists(plan: WritePlan) -> tuple[dict[str, Path], list[Dropped]]:
    """The list of each key of the `.data` file, and the splits that it has no key for."""
    lists: dict[str, Path] = {}
    others = []
    for split in plan.splits:
        key = {"train": "train", "val": "valid"}.get(role_of(split.name) or "")
        if len(plan.splits) == 1:
            key = key or "valid"
        if key is None or key in lists:
            others.append(f"{split.name}.txt")
        else:
            lists[key] = Path(f"{split.name}.txt")
    note = f"a .data file names two lists; {', '.join(others)} is written but not named in it"
    return lists, [Dropped("names of splits", len(others), note)] if others else []
