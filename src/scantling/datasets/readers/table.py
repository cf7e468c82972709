"""The objects and class names of a data set while it is read, with checks all formats share."""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...structures import IntArray
from ..dataset import Columns, Flags, LabelledImage, Objects
from ..findings import Problems, data_error, shorten
from ..safe_text import read_text

NEARLY = 0.95  # intersection over union from which two boxes are taken for one
MAX_NAMES_BYTES = 2**22
MAX_COMPARED = 2_000  # objects of one image; where there are more, they are left out
MAX_PARTNERS = 8  # pairs that one box begins, however many lie on it: what is found stays small

# Rounding to six digits of an image 4,000 wide moves an edge by 0.002 pixels; marking tools put
# edges between pixels half a pixel off. More than that beyond the image is worth a warning.
BEYOND = 0.5  # pixels
DETECTIONS_COUNTED = 100  # in one image, by COCO's protocol

# Where an object is written: its row in the table → (file, line, item in the file).
Locator = Callable[[int], tuple[Path, int | None, str]]


@dataclass(frozen=True, eq=False)
class ObjectTable:
    """Objects as read, image by image, before they are checked.

    Args:
        boxes: (T, 4) xyxy in pixels.
        labels: (T,) places in the names.
        image_index: (T,) places in the images, ascending.
        crowd: (T,) COCO's `iscrowd`.
        difficult: (T,) VOC's `difficult`.
        areas: (T,) in square pixels.
        marks: (T,) what a format needs to find an object again: its line, its place in a list.
    """

    boxes: Columns
    labels: IntArray
    image_index: IntArray
    crowd: Flags
    difficult: Flags
    areas: Columns
    marks: IntArray

    def take(self, which: Flags | IntArray) -> "ObjectTable":
        """Some rows, by flags or by places."""
        return ObjectTable(*(column[which] for column in self._columns()))

    def _columns(self) -> tuple[np.ndarray, ...]:
        return (
            self.boxes, self.labels, self.image_index, self.crowd, self.difficult, self.areas,
            self.marks,
        )  # fmt: skip

    def to_objects(self) -> Objects:
        """What a `Dataset` holds. Minus zero becomes zero."""
        return Objects(*self._columns()[:-1])


def make_table(
    boxes: Columns,
    labels: IntArray,
    image_index: IntArray,
    *,
    marks: IntArray,
    crowd: Flags | None = None,
    difficult: Flags | None = None,
    areas: Columns | None = None,
) -> ObjectTable:
    """Make a table sorted by image; within an image the order stays."""
    table = np.asarray(boxes, np.float64).reshape(-1, 4) + 0.0  # + 0.0: minus zero becomes zero
    count = len(table)
    sides = np.clip(table[:, 2:] - table[:, :2], 0, None)
    none = np.zeros(count, np.bool_)
    columns = ObjectTable(
        table,
        np.asarray(labels, np.int64),
        np.asarray(image_index, np.int64),
        none if crowd is None else crowd,
        none if difficult is None else difficult,
        sides.prod(axis=1) if areas is None else areas,
        np.asarray(marks, np.int64),
    )
    if (np.diff(columns.image_index) < 0).any():
        columns = columns.take(np.argsort(columns.image_index, kind="stable"))
    return columns


def sizes_of(images: tuple[LabelledImage, ...]) -> Columns:
    """(N, 2) of (height, width); NaN where it is not known."""
    nan = (np.nan, np.nan)
    return np.array([image.size or nan for image in images], np.float64).reshape(-1, 2)


def add_findings(
    problems: Problems,
    code: str,
    rows: IntArray,
    describe: Callable[[int], str],
    *,
    locate: Locator,
    image_of: Callable[[int], Path | None],
    boxes: Columns | None = None,
) -> None:
    """Add a finding for each row, made in words only for those that are kept.

    Args:
        boxes: (T, 4) xyxy in pixels, where they can be drawn.
    """
    kept = rows[: problems.room(code)]
    for row in kept.tolist():
        file, line, item = locate(row)
        box = None if boxes is None else (*boxes[row].tolist(),)
        problems.add(code, describe(row), file, line=line, item=item, image=image_of(row), box=box)
    if len(rows) > len(kept):
        problems.count(code, len(rows) - len(kept), locate(int(rows[-1]))[0])


def check_boxes(
    table: ObjectTable,
    images: tuple[LabelledImage, ...],
    *,
    problems: Problems,
    locate: Locator,
    names: tuple[str, ...],
    lowest: float = 0.0,
) -> ObjectTable:
    """Filter out unusable boxes; problems of boxes become findings.

    Finds E207, E210, W211, W213, W214, W215 and W222. Boxes stay as they were read, even where
    they reach beyond the image.

    Args:
        table: finite boxes whose sides are not negative.
        locate: where a row is written.
        lowest: the least left or top edge that is no finding here.
    """
    boxes = table.boxes

    def image_of(row: int) -> Path:
        return images[int(table.image_index[row])].path

    def add(code: str, rows: IntArray, describe: Callable[[int], str]) -> None:
        add_findings(problems, code, rows, describe, locate=locate, image_of=image_of, boxes=boxes)

    size = sizes_of(images)[table.image_index] if len(images) else np.empty((0, 2))
    empty, outside, beyond = _sort_out(boxes, size, lowest)

    def describe(row: int) -> str:
        left, top, right, bottom = boxes[row].tolist()
        return (
            f"the box from ({left:g}, {top:g}) to ({right:g}, {bottom:g}) in an image"
            f" {size[row, 1]:g} wide and {size[row, 0]:g} high"
        )

    def describe_empty(row: int) -> str:
        sides = boxes[row, 2:] - boxes[row, :2]
        return f"the box is {sides[0]:g} wide and {sides[1]:g} high"

    add("E207", np.flatnonzero(empty), describe_empty)
    add("E210", np.flatnonzero(outside), lambda row: f"{describe(row)} shows nothing of it")
    add("W211", np.flatnonzero(beyond), lambda row: f"{describe(row)} reaches beyond it")
    _check_repetition(table, ~(empty | outside), add, locate, names)
    _check_crowding(table, images, problems)
    return table.take(~(empty | outside))


def _sort_out(boxes: Columns, size: Columns, lowest: float) -> tuple[Flags, Flags, Flags]:
    """Flags of boxes that have no area, lie outside of their image, or reach beyond it.

    Args:
        boxes: (T, 4) xyxy.
        size: (T, 2) height and width of their images; NaN, which nothing exceeds, where unknown.
        lowest: the least left or top edge that is no finding here.
    """
    height, width = size[:, 0], size[:, 1]
    empty = (boxes[:, 2] <= boxes[:, 0]) | (boxes[:, 3] <= boxes[:, 1])
    with np.errstate(invalid="ignore"):
        outside = (boxes[:, 2] <= 0) | (boxes[:, 3] <= 0)
        outside |= (boxes[:, 0] >= width) | (boxes[:, 1] >= height)
        beyond = (boxes[:, :2] < lowest - BEYOND).any(axis=1)
        beyond |= (boxes[:, 2] > width + BEYOND) | (boxes[:, 3] > height + BEYOND)
    outside &= ~empty
    return empty, outside, beyond & ~(empty | outside)


def _check_repetition(
    table: ObjectTable,
    usable: Flags,
    add: Callable[[str, IntArray, Callable[[int], str]], None],
    locate: Locator,
    names: tuple[str, ...],
) -> None:
    """W213, W214, W215: the same object, or nearly the same, more than once in an image."""
    places = np.flatnonzero(usable & ~table.crowd)
    first, second = find_duplicate_boxes(table.boxes[places], table.image_index[places])
    first, second = places[first], places[second]
    same_class = table.labels[first] == table.labels[second]
    same_box = (table.boxes[first] == table.boxes[second]).all(axis=1)
    for code, which, what in (
        ("W213", same_class & same_box, "repeats {there}"),
        ("W214", same_class & ~same_box, "has nearly the box of {there}, and its class"),
        ("W215", ~same_class, "has the box of {there}, which is {other}"),
    ):
        later, index = np.unique(second[which], return_index=True)
        earlier = dict(zip(later.tolist(), first[which][index].tolist(), strict=True))

        def describe(row: int, earlier: dict[int, int] = earlier, what: str = what) -> str:
            _, line, item = locate(earlier[row])
            there = item or (f"that of line {line}" if line else "another object")
            mine, other = (repr(names[table.labels[i]]) for i in (row, earlier[row]))
            return f"{mine} {what.format(there=there, other=other)}"

        add(code, later, describe)


def _check_crowding(
    table: ObjectTable, images: tuple[LabelledImage, ...], problems: Problems
) -> None:
    counts = np.bincount(table.image_index, minlength=len(images))
    for index in np.flatnonzero(counts > DETECTIONS_COUNTED).tolist():
        image, count = images[index], int(counts[index])
        rest = "; its objects are not compared with each other" if count > MAX_COMPARED else ""
        message = f"has {count:,} objects; COCO's protocol counts {DETECTIONS_COUNTED}{rest}"
        problems.add("W222", message, image.label_file or image.path, image=image.path)


def find_duplicate_boxes(boxes: Columns, image_index: IntArray) -> tuple[IntArray, IntArray]:
    """Pairs of rows of one image whose boxes overlap by `NEARLY` at least, the earlier row first.

    Two such boxes have left edges at most 5 % of the wider's width apart. So rows are sorted by
    their left edge, and a row is compared with the next, the second next, and so on, all rows at
    once, until that is exceeded or it has `MAX_PARTNERS`: few rounds for real images, and
    `MAX_COMPARED` for any.

    Args:
        boxes: (M, 4) xyxy with positive sides.
        image_index: (M,) ascending.
    """
    nobody = np.empty(0, np.int64)
    if len(boxes) < 2:
        return nobody, nobody
    counts = np.bincount(image_index)
    order = np.lexsort((boxes[:, 0], image_index))
    order = order[counts[image_index[order]] <= MAX_COMPARED]
    image, box = image_index[order], boxes[order]
    # The later one begins at most this far to the right: its own width is at most 1/NEARLY of ours.
    reach = box[:, 0] + (box[:, 2] - box[:, 0]) * (1 - NEARLY) / NEARLY
    found: list[tuple[IntArray, IntArray]] = [(nobody, nobody)]
    active = np.arange(len(order))
    partners = np.zeros(len(order), np.int64)
    for step in range(1, MAX_COMPARED):
        active = active[active + step < len(order)]
        other = active + step
        near = (image[other] == image[active]) & (box[other, 0] <= reach[active])
        active, other = active[near], other[near]
        if not len(active):
            break
        same = _iou(box[active], box[other]) >= NEARLY
        found.append((order[active[same]], order[other[same]]))
        partners[active] += same
        active = active[partners[active] < MAX_PARTNERS]
    first = np.concatenate([pair[0] for pair in found])
    second = np.concatenate([pair[1] for pair in found])
    return np.minimum(first, second), np.maximum(first, second)


def _iou(a: Columns, b: Columns) -> Columns:
    """(M,) intersection over union of rows with rows; of (M, 4) boxes with positive sides."""
    overlap = np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0, None)
    shared = overlap.prod(axis=1)
    union = (a[:, 2:] - a[:, :2]).prod(axis=1) + (b[:, 2:] - b[:, :2]).prod(axis=1) - shared
    return np.asarray(shared / np.maximum(union, np.finfo(np.float64).tiny))


def check_names(
    names: Sequence[str], file: Path, *, problems: Problems, source: Path | None = None
) -> tuple[str, ...]:
    """The names without white space around them; W113 where two differ only in spelling.

    Raises:
        InvalidData: E110 there are none; E108 one is empty; E107 two are the same.
    """
    if not names:
        raise data_error("E110", file, "names no classes", source=source)
    stripped = [name.strip() for name in names]
    places: dict[str, int] = {}
    for place, name in enumerate(stripped):
        if not name:
            raise data_error("E108", file, f"class {place} has an empty name", source=source)
        if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
            problem = f"class {place} is called {shorten(name)}; expected plain text"
            raise data_error("E108", file, problem, source=source)
        if name in places:
            problem = f"classes {places[name]} and {place} are both called {shorten(name)}"
            raise data_error("E107", file, problem, source=source)
        places[name] = place
    alike: dict[str, list[str]] = defaultdict(list)
    for name in stripped:
        alike[_spelling(name)].append(name)
    for group in alike.values():
        if len(group) > 1:
            shown = ", ".join(shorten(name) for name in group[:10])
            problems.add("W113", f"{shown} differ only in case, spaces, hyphens or underscores",
                         file)  # fmt: skip
    return tuple(stripped)


def read_names_file(path: Path, *, problems: Problems) -> tuple[str, ...]:
    """The names of a file with one a line; empty lines at its end do not count.

    Raises:
        InvalidData: the file cannot be read, or as `check_names`.
    """
    lines = [line.strip() for line in read_text(path, max_bytes=MAX_NAMES_BYTES).split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return check_names(lines, path, problems=problems)


def _spelling(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter not in " \t_-")
