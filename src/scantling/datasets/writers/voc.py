"""Pascal VOC: `JPEGImages`, an XML an image in `Annotations`, a list a split in `ImageSets/Main`.

Format: the development kit of VOC 2012, http://host.robots.ox.ac.uk/pascal/VOC/voc2012/
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET  # only ever written here, never read

import numpy as np

from ...errors import InvalidData
from .dropped import NOISE, count_flags, count_ids, cut_boxes
from .files import ImageMode, name_files, place_images
from .values import Dropped, SplitPlan, WritePlan

PLAIN = re.compile("[\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")  # what XML can hold


def write_voc(
    plan: WritePlan, folder: Path, *, images: ImageMode, advance: Callable[[], None]
) -> tuple[Dropped, ...]:
    """Write `JPEGImages/`, `Annotations/` and `ImageSets/Main/`; difficult flags are kept.

    VOC counts whole pixels from 1 and includes the last. Boxes are rounded to them, and none is
    made smaller than one pixel.

    Raises:
        InvalidData: XML cannot hold a class name.
    """
    for name in plan.names:
        if not PLAIN.fullmatch(name) or name != name.strip():
            raise InvalidData(
                plan.name, f"XML cannot hold the class name {name!r}", "Rename the class"
            )
    splits, cut = cut_boxes(plan.splits)
    named, renamed = name_files(splits, one_folder=True, spaces=False)
    lists = folder / "ImageSets" / "Main"
    for made in (folder / "Annotations", lists):
        made.mkdir(parents=True)
    changes = []
    for split, names in zip(splits, named, strict=True):
        place_images(split, names, folder / "JPEGImages", images=images, advance=advance)
        corners = round_boxes(split)
        changes.append(np.abs(corners - split.objects.boxes).max(axis=1, initial=0))
        stems = [name.rpartition(".")[0] for name in names]
        for stem, text in zip(stems, _annotations(plan, split, names, corners), strict=True):
            (folder / "Annotations" / f"{stem}.xml").write_text(text, encoding="utf-8")
        (lists / f"{split.name}.txt").write_text(
            "".join(f"{stem}\n" for stem in stems), encoding="utf-8"
        )
    plan = replace(plan, splits=splits)
    dropped = count_flags(plan, "VOC", difficult=True)
    return (*dropped, *cut, *_count_rounded(changes), *renamed, *_count_ids(plan, named))


def round_boxes(split: SplitPlan) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """(T, 4) xyxy whole pixels, each side at least 1 and within the image."""
    boxes = split.objects.boxes
    corners = np.rint(boxes).astype(np.int64)
    low, high = corners[:, :2], corners[:, 2:]
    middle = np.floor((boxes[:, :2] + boxes[:, 2:]) / 2).astype(np.int64)
    pixel = np.minimum(middle, split.sizes()[:, :2].astype(np.int64) - 1)
    thin = low == high  # nothing would be left: the pixel in which its middle lies
    return np.concatenate([np.where(thin, pixel, low), np.where(thin, pixel + 1, high)], axis=1)


def _annotations(
    plan: WritePlan,
    split: SplitPlan,
    names: tuple[str, ...],
    corners: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
) -> Iterator[str]:
    """The XML of each image."""
    bounds = split.bounds()
    rows = list(
        zip(
            split.objects.labels.tolist(),
            split.objects.difficult.tolist(),
            corners.tolist(),
            strict=True,
        )
    )
    for place, (image, name) in enumerate(zip(split.images, names, strict=True)):
        height, width = image.size or (0, 0)
        root = ET.Element("annotation")
        _add(root, folder="JPEGImages", filename=name)
        _add(ET.SubElement(root, "size"), width=width, height=height, depth=3)
        _add(root, segmented=0)
        for label, difficult, (left, top, right, bottom) in rows[bounds[place] : bounds[place + 1]]:
            item = ET.SubElement(root, "object")
            _add(item, name=plan.names[label], pose="Unspecified", truncated=0)
            _add(item, difficult=int(difficult))
            box = ET.SubElement(item, "bndbox")
            _add(box, xmin=left + 1, ymin=top + 1, xmax=right, ymax=bottom)
        ET.indent(root)
        yield ET.tostring(root, encoding="unicode") + "\n"


def _add(parent: ET.Element, **texts: object) -> None:
    """Put one element a text into `parent`."""
    for tag, text in texts.items():
        ET.SubElement(parent, tag).text = str(text)


def _count_rounded(
    changes: list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]],
) -> list[Dropped]:
    change = np.concatenate(changes)
    rounded = int((change > NOISE).sum())
    if not rounded:
        return []
    note = f"rounded to whole pixels, by {change.max():.3g} at most"
    return [Dropped("boxes changed", rounded, note)]


def _count_ids(plan: WritePlan, named: tuple[tuple[str, ...], ...]) -> list[Dropped]:
    """Count ids, classes without objects and their order, which VOC does not hold."""
    dropped = [loss for loss in count_ids(plan, named, "VOC") if loss.what != "category ids"]
    used = set(np.concatenate([split.objects.labels for split in plan.splits]).tolist())
    empty = [name for label, name in enumerate(plan.names) if label not in used]
    dropped.append(Dropped("ids and order of classes", len(plan.names), "VOC only names them"))
    if empty:
        shown = ", ".join(empty[:5]) + (", …" if len(empty) > 5 else "")
        dropped.append(
            Dropped("classes without objects", len(empty), f"VOC has no list of them: {shown}")
        )
    return dropped
