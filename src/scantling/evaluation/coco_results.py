"""Read and write detections as COCO results JSON.

A file from elsewhere is not trusted: it is read in pieces, so that memory grows only with the
columns kept, and whatever does not fit the data set is an error that says what and how many.
"""

import json
import math
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from ..datasets.dataset import ImageId
from ..datasets.safe_json import is_id
from ..errors import InvalidData
from ..io import atomic_write, find_foreign_file, regular_size
from .tables import DetectionTable, GroundTruth

MOST_BYTES = 2 << 30
MOST_DETECTIONS = 20_000_000  # 1.1 GB of columns
_BLOCK = 1 << 20  # characters read at a time
_LONGEST = 8 << 20  # characters of one detection: a mask may come along with it
_BLANK = " \t\r\n"
_FORM = 'Write a list of {"image_id", "category_id", "bbox": [left, top, width, height], "score"}'


def read_results(path: Path, truth: GroundTruth) -> DetectionTable:
    """Read COCO detection results: a JSON list of image_id, category_id, bbox and score.

    Further keys are allowed and not looked at. Every number is taken as it stands.

    Args:
        path: of the file, at most 2 GiB, 20 million detections and 8 MiB a detection.
        truth: whose images and categories the ids are of.

    Raises:
        InvalidData: the file cannot be read, is too large, is no such list, holds a number that is
            not finite, or names images or categories that the data set lacks.
    """
    rows = _Rows(str(path), truth)
    try:
        size = regular_size(path)
        if size > MOST_BYTES:
            fix = "Split it by class, or leave out the lowest scores"
            raise InvalidData(str(path), f"{size} bytes are more than {MOST_BYTES}", fix)
        if foreign := find_foreign_file(path):
            raise InvalidData(str(path), f"it is {foreign}", _FORM)
        with path.open(encoding="utf-8-sig") as file:
            for number, one in enumerate(_items(file, str(path))):
                rows.add(number, one)
    except OSError as error:
        raise InvalidData(str(path), error.strerror or "cannot be read", "Check the path") from None
    except UnicodeDecodeError:
        raise InvalidData(str(path), "it is not UTF-8 text", _FORM) from None
    return rows.build()


def write_results(
    path: Path, detections: DetectionTable, truth: GroundTruth, *, overwrite: bool = True
) -> None:
    """Write COCO detection results, one line per detection, without holding the text in memory.

    Numbers are written in full: `read_results` gives back the same columns.

    Args:
        path: of the file; an older one is replaced once the new one is whole.
        detections: the detections.
        truth: whose image and category ids are written.
        overwrite: False: an older file stays, and the new one gets a number.
    """
    with (
        atomic_write(path, overwrite=overwrite) as part,
        part.open("w", encoding="utf-8", newline="\n") as file,
    ):
        file.write("[")
        for start in range(0, len(detections), 10_000):
            some = detections.take(slice(start, start + 10_000))
            file.write(",\n" if start else "\n")
            file.write(",\n".join(_lines(some, truth)))
        file.write("\n]\n")


def _lines(detections: DetectionTable, truth: GroundTruth) -> Iterator[str]:
    """One JSON object per detection."""
    columns = (detections.image_index, detections.labels, detections.boxes, detections.scores)
    for index, label, box, score in zip(*(column.tolist() for column in columns), strict=True):
        left, top, width, height = box  # doubles print with all the digits that they need
        yield (
            f'{{"image_id":{json.dumps(truth.image_ids[index])},'
            f'"category_id":{truth.category_ids[label]},'
            f'"bbox":[{left!r},{top!r},{width!r},{height!r}],"score":{score!r}}}'
        )


class _Rows:
    """Builds columns from JSON detections, and counts unknown ids."""

    def __init__(self, source: str, truth: GroundTruth) -> None:
        self._source = source
        self._images = {image_id: place for place, image_id in enumerate(truth.image_ids)}
        self._labels = {category: label for label, category in enumerate(truth.category_ids)}
        self._lost: dict[str, Counter[ImageId]] = {"image": Counter(), "category": Counter()}
        self._numbers, self._index, self._label = array("d"), array("q"), array("q")

    def add(self, number: int, one: object) -> None:
        """Take in detection `number`."""
        if number >= MOST_DETECTIONS:
            fix = "Leave out the lowest scores"
            raise InvalidData(self._source, f"more than {MOST_DETECTIONS} detections", fix)
        image, category, box, score = self._fields(number, one)
        place, label = self._images.get(image), self._labels.get(category)
        if place is None:
            self._lost["image"][image] += 1
        if label is None:
            self._lost["category"][category] += 1
        if place is not None and label is not None:
            self._numbers.extend(box)
            self._numbers.append(score)
            self._index.append(place)
            self._label.append(label)

    def build(self) -> DetectionTable:
        """Make the table, if every id was known."""
        for what, lost in self._lost.items():
            refuse_unknown(self._source, what, lost)
        table = np.array(self._numbers, np.float64).reshape(-1, 5)
        return DetectionTable(
            table[:, :4].copy(),
            table[:, 4].copy(),
            np.array(self._label, np.int64),
            np.array(self._index, np.int64),
        )

    def _fields(self, number: int, one: object) -> tuple[Any, int, list[float], float]:
        """The four values of a detection, checked."""
        if type(one) is not dict:
            raise self._wrong(number, "it is no JSON object")
        try:
            image, category = one["image_id"], one["category_id"]
            box, score = one["bbox"], one["score"]
        except KeyError as error:
            raise self._wrong(number, f"it has no {error}") from None
        if not is_id(image):
            raise self._wrong(number, "its image_id is neither a whole number of 63 bits nor text")
        if type(category) is not int or not is_id(category):
            raise self._wrong(number, "its category_id is no whole number of 63 bits")
        if type(box) is not list or len(box) != 4:
            raise self._wrong(number, "its bbox is no list of four numbers")
        values = [*box, score]
        if not all(type(value) in _NUMBERS for value in values):
            raise self._wrong(number, "its bbox or score holds something that is no number")
        try:
            finite = all(map(math.isfinite, values))
        except OverflowError:  # a whole number beyond every double
            finite = False
        if not finite:
            raise self._wrong(number, "its bbox or score holds a number that is not finite")
        return image, category, box, score

    def _wrong(self, number: int, problem: str) -> InvalidData:
        return InvalidData(self._source, f"detection {number} (from 0): {problem}", _FORM)


_NUMBERS = (int, float)


def refuse_unknown(source: str, what: str, lost: Mapping[Any, int]) -> None:
    """Raise if any ids belong to no image or category."""
    if not lost:
        return
    shown = ", ".join(repr(identity)[:60] for identity in list(lost)[:5])
    more = f" and {len(lost) - 5} more" if len(lost) > 5 else ""
    raise InvalidData(
        source,
        f"{sum(lost.values())} detections name {len(lost)} {what} ids that the data set lacks: "
        f"{shown}{more}",
        "Evaluate against the data set that these are of",
    )


def _items(file: TextIO, source: str) -> Iterator[object]:
    """Iterate over the items of a JSON list in a file, block by block."""
    decode = json.JSONDecoder(parse_constant=_no_constant).raw_decode
    text, place = file.read(_BLOCK), 0
    text = text.lstrip(_BLANK)
    if not text.startswith("["):
        raise InvalidData(source, "it is no JSON list of detections", _FORM)
    place, count = 1, 0
    while True:
        place = _skip(text, place)
        if place == len(text):
            text, place = _more(file, source, text, place), 0
            continue
        if text[place] == "]":
            _expect_end(file, source, text[place + 1 :])
            return
        if count:
            if text[place] != ",":
                raise InvalidData(source, f"no comma after detection {count - 1}", _FORM)
            place = _skip(text, place + 1)
        while True:
            try:
                one, end = decode(text, place)
                break
            except (ValueError, RecursionError) as error:
                if len(text) - place > _LONGEST or isinstance(error, RecursionError):
                    raise InvalidData(
                        source, f"detection {count} (from 0) is no JSON, or too long", _FORM
                    ) from None
                text, place = _more(file, source, text, place), 0
                place = _skip(text, place)
        yield one
        count, place = count + 1, end


def _more(file: TextIO, source: str, text: str, place: int) -> str:
    """Rest of `text` followed by the next block."""
    block = file.read(_BLOCK)
    if not block:
        raise InvalidData(source, "the file ends within the list, or is no JSON", _FORM)
    return text[place:] + block


def _skip(text: str, place: int) -> int:
    """Index after white space."""
    while place < len(text) and text[place] in _BLANK:
        place += 1
    return place


def _expect_end(file: TextIO, source: str, rest: str) -> None:
    """Raise if anything follows the list."""
    while rest:
        if rest.strip(_BLANK):
            raise InvalidData(source, "something follows the list", _FORM)
        rest = file.read(_BLOCK)


def _no_constant(name: str) -> float:
    """NaN and Infinity are not JSON."""
    raise ValueError(name)
