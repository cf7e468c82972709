"""Count what a format cannot hold, before it is dropped."""

from collections.abc import Sequence

import numpy as np

from ..dataset import Flags, make_objects
from .values import Dropped, SplitPlan, WritePlan

NOISE = 1e-6  # pixels; less comes from arithmetic, not from the labels


def count_flags(plan: WritePlan, format_name: str, *, difficult: bool) -> list[Dropped]:
    """Count crowd flags, mask areas and, unless the format holds them, difficult flags."""
    crowd = sum(int(split.objects.crowd.sum()) for split in plan.splits)
    hard = 0 if difficult else sum(int(split.objects.difficult.sum()) for split in plan.splits)
    areas = sum(_count_areas(split) for split in plan.splits)
    dropped = []
    if crowd:
        note = f"{format_name} has no place for them; the boxes are kept as those of one object"
        dropped.append(Dropped("crowd flags", crowd, note))
    if hard:
        note = f"{format_name} has no place for them; the boxes are kept as any other"
        dropped.append(Dropped("difficult flags", hard, note))
    if areas:
        note = f"{format_name} has no place for them; areas will be those of the boxes"
        dropped.append(Dropped("areas of masks", areas, note))
    return dropped


def count_ids(
    plan: WritePlan, file_names: Sequence[Sequence[str]], format_name: str
) -> list[Dropped]:
    """Count image ids that file names do not hold, and category ids with gaps."""
    ids = sum(
        image.image_id != id_of_name(name)
        for split, names in zip(plan.splits, file_names, strict=True)
        for image, name in zip(split.images, names, strict=True)
    )
    dropped = []
    if ids:
        dropped.append(Dropped("image ids", ids, f"{format_name} knows images by their file names"))
    if plan.category_ids != tuple(range(1, len(plan.names) + 1)):
        note = f"{format_name} counts classes without gaps"
        dropped.append(Dropped("category ids", len(plan.names), note))
    return dropped


def id_of_name(file_name: str) -> int | str:
    """The id that an image has by its file name alone: `000000000139.jpg` → 139."""
    stem = file_name.rpartition(".")[0]
    return int(stem) if stem.isascii() and stem.isdigit() and len(stem) <= 18 else stem


def cut_boxes(splits: Sequence[SplitPlan]) -> tuple[tuple[SplitPlan, ...], list[Dropped]]:
    """Clip boxes to their image; those without area in it are dropped."""
    cut, outside, changed, greatest = [], 0, 0, 0.0
    for split in splits:
        objects = split.objects
        boxes = np.clip(objects.boxes, 0, split.sizes())
        inside: Flags = np.asarray((boxes[:, 2:] - boxes[:, :2] > NOISE).all(axis=1))
        change = np.abs(boxes - objects.boxes).max(axis=1, initial=0)[inside]
        outside += int((~inside).sum())
        changed += int((change > NOISE).sum())
        greatest = max(greatest, float(change.max(initial=0)))
        new = make_objects(
            boxes,
            objects.labels,
            objects.image_index,
            crowd=objects.crowd,
            difficult=objects.difficult,
            areas=objects.areas,
        )
        cut.append(SplitPlan(split.name, split.images, new.take(inside)))
    dropped = []
    if changed:
        note = f"they reached beyond their image, by {greatest:.3g} pixels at most, and are cut off"
        dropped.append(Dropped("boxes changed", changed, note))
    if outside:
        dropped.append(Dropped("boxes", outside, "they have no area within their image"))
    return tuple(cut), dropped


def _count_areas(split: SplitPlan) -> int:
    """Areas that are not those of the boxes."""
    sides = split.objects.boxes[:, 2:] - split.objects.boxes[:, :2]
    own = sides.prod(axis=1)
    # COCO files often round areas to two digits
    return int((np.abs(split.objects.areas - own) > 0.01 + 1e-6 * own).sum())
