"""Findings of a data set: the table of their codes, and how they are collected while it is read."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidData

# A fault of a converter is in every line it wrote. So many of one code are shown one by one; a last
# finding tells how many more there are, so that the report of millions stays small.
MAX_PER_CODE = 1_000
Box = tuple[float, float, float, float]  # xyxy in pixels


# Every code: what it says, and what to do. E: an error, the object or image cannot be used as it
# stands; W: a warning, it can, but look. A code never changes its meaning; a new one gets a new
# number. 1xx the data set as a whole, 2xx labels, 3xx images, 4xx repetition, 5xx fitness.
CODES: dict[str, tuple[str, str]] = {
    "E101": ("a file of the data set cannot be read", "Restore it, or take its name out."),
    "E102": ("text is not UTF-8", "Save the file as UTF-8."),
    "E103": ("a file is not of its format", "Mend the syntax where it breaks."),
    "E104": (
        "a file does more than hold data: entities, aliases, endless nesting",
        "Write it out plainly.",
    ),
    "E105": ("a split has no images", "Name another folder or list."),
    "E106": (
        "a split names a folder or list that is not there",
        "Correct the path, or take the split out.",
    ),
    "E107": ("two classes have one name", "Give each class a name of its own."),
    "E108": ("a class has no name", "Name every class."),
    "E109": ("the number of classes is not that of the names", "Make the two agree."),
    "E110": ("a part that the format needs is missing", "Add it."),
    "W111": ("a key that nobody reads", "Correct its spelling, or take it out."),
    "E112": ("two images have one id", "Give each image an id of its own."),
    "W113": ("two class names differ only in spelling", "Make them one class if they are."),
    "W114": ("an image is listed twice", "List it once."),
    "E115": (
        "a split has no objects",
        "Put the labels where they are looked for, or name another split.",
    ),
    "W116": (
        "a path is not there as it is written, and another is read",
        "Make sure that this is meant, or correct the path.",
    ),
    "E201": (
        "a label lacks a value, or has too many",
        "Write class, then box, as the format has it.",
    ),
    "E202": ("text stands where a number belongs", "Write a number."),
    "E203": ("a number is NaN or infinite", "Remove the object or mark it anew."),
    "E204": ("values are separated by the wrong sign", "Separate them by spaces."),
    "E205": ("a class id is not a whole number", "Write the id of the class."),
    "E206": (
        "an object is of a class that the data set does not have",
        "Add the class, or correct the object.",
    ),
    "E207": ("a box has no area", "Remove the object or mark it anew."),
    "E208": ("a box has a negative side", "Write the size as a positive number."),
    "E209": ("the corners of a box are exchanged", "Write the lesser corner first."),
    "E210": ("a box lies outside of its image", "Remove the object or mark it anew."),
    "W211": (
        "a box reaches beyond its image",
        "It is cut off at the edge; mark it anew if that is wrong.",
    ),
    "E212": ("coordinates are in another unit or order than the format's", "Convert them."),
    "W213": ("an object is there twice", "Remove one of the two."),
    "W214": (
        "two objects of one class have nearly the same box",
        "Remove one if they are one object.",
    ),
    "W215": ("one box is of two classes", "Keep the right one."),
    "W216": ("a polygon was reduced to its box", "Nothing, unless the outline was wanted."),
    "E217": ("a polygon is not one", "Give it three points or more, two numbers each."),
    "E218": ("a label belongs to no image", "Add the image, or remove the label."),
    "W219": ("an image has no label file", "Add an empty one if it shows no object."),
    "W220": ("a label file belongs to no image", "Add the image, or remove the file."),
    "W221": ("an image has no objects", "Nothing, if it is meant as background."),
    "W222": ("an image has more objects than detections count", "Evaluate with more detections."),
    "E223": (
        "the size of an image is missing or not a size",
        "Write its width and height in pixels.",
    ),
    "E224": (
        "the stated size of an image is not that of the file",
        "Label the image anew, or correct the size.",
    ),
    "E225": (
        "labels were made on the image before EXIF turns it",
        "Store the image upright, or turn the boxes.",
    ),
    "W226": ("a label file names another image than its own", "Correct the name in it."),
    "W227": (
        "a box begins at 0 where the format counts from 1",
        "Make sure that its writer counts as VOC does.",
    ),
    "E228": ("a flag is neither 0 nor 1", "Write 0 or 1."),
    "E229": ("two objects have one id", "Give each object an id of its own."),
    "E230": (
        "a file or line is larger than any real one",
        "Split it, or remove what does not belong.",
    ),
    "W231": (
        "the stated area is not one the box can have",
        "Leave the area out, or state that of the mask.",
    ),
    "W232": ("a box is of one pixel", "Look whether it was a click that should have been a drag."),
    "W233": (
        "a label ends with a score",
        "Nothing: objects count alike, whatever it is; remove those that are too unsure.",
    ),
    "E301": ("an image is not there", "Restore it, or remove it from the list."),
    "E302": ("an image file is empty", "Restore it."),
    "E303": ("a file is no image", "Restore it, or take it out of the folder."),
    "E304": ("an image is damaged or cut off", "Restore it."),
    "E305": ("an image declares more pixels than are decoded", "Make it smaller."),
    "W306": ("an image is turned by its EXIF", "Nothing: it is read upright; other tools may not."),
    "W307": ("the suffix of an image is not its kind", "Rename it."),
    "W308": (
        "an image is not 8 bits of red, green and blue",
        "Nothing: it is converted; make sure that is meant.",
    ),
    "W309": ("an image is of one colour", "Look whether it was exported well."),
    "W310": ("an image is very small or very long", "Look whether it belongs here."),
    "E401": (
        "the same image is in two splits",
        "Keep it in one: the evaluation would be too good.",
    ),
    "W402": ("the same image is twice in a split", "Keep one."),
    "W403": (
        "nearly the same image is in two splits",
        "Look at the pair: frames of one scene belong together.",
    ),
    "W404": ("nearly the same image is twice in a split", "Look at the pair."),
    "W405": ("copies of an image have different labels", "Correct one, or remove it."),
    "W501": ("a class has no objects", "Add some, or remove the class."),
    "W502": ("a class is far rarer than another", "Collect more of it, or weigh it."),
    "W503": (
        "an object is smaller on the network's input than can be found",
        "Use a larger input.",
    ),
    "W504": (
        "a level of the model has no objects of its size",
        "Use a model without it, or a larger input.",
    ),
    "W505": ("a class of one split is not in another", "Split the data anew."),
}


@dataclass(frozen=True)
class Finding:
    """One problem of a data set: code, message, file, line.

    Args:
        code: a key of `CODES`.
        message: what is given and what was expected, in one sentence without a full stop.
        file: in which it is wrong: a label file, an image, a list, a JSON.
        line: in that file, from 1; None where lines mean nothing.
        item: the place within a file that lines do not tell, such as `annotations[12]`.
        image: the image it belongs to, if it belongs to one.
        box: xyxy in pixels of that image, where it is about one that can be drawn.
        count: places it stands for: more than one only where so many are alike that a last finding
            tells how many more there are.
    """

    code: str
    message: str
    file: Path
    line: int | None = None
    item: str = ""
    image: Path | None = None
    box: tuple[float, float, float, float] | None = None
    count: int = 1

    @property
    def is_error(self) -> bool:
        """Whether the object or image cannot be used as it stands."""
        return self.code.startswith("E")

    def __str__(self) -> str:
        line = "" if self.line is None else f":{self.line}"
        item = f" {self.item}" if self.item else ""
        return f"{self.code} {self.file}{line}{item}: {self.message}"


def count_codes(findings: Iterable[Finding]) -> dict[str, int]:
    """How often each code was found, errors first, then by number."""
    counts: Counter[str] = Counter()
    for finding in findings:
        counts[finding.code] += finding.count
    return dict(sorted(counts.items()))


class Problems:
    """Collects findings in the order in which they are met, at most `MAX_PER_CODE` of a code."""

    def __init__(self) -> None:
        self._kept: list[Finding] = []
        self._counts: Counter[str] = Counter()
        self._last: dict[str, Finding] = {}

    def add(
        self,
        code: str,
        message: str,
        file: Path,
        *,
        line: int | None = None,
        item: str = "",
        image: Path | None = None,
        box: Box | None = None,
    ) -> None:
        """Add one finding; it is only counted where there are too many of its code."""
        finding = Finding(code, message, file, line, item, image, box)
        self._counts[code] += 1
        if self._counts[code] <= MAX_PER_CODE:
            self._kept.append(finding)
        else:
            self._last[code] = finding

    def room(self, code: str) -> int:
        """How many more findings of a code are kept one by one."""
        return max(0, MAX_PER_CODE - self._counts[code])

    def add_error(self, error: InvalidData, *, image: Path | None = None) -> None:
        """Add the findings of an error that concerns one file only."""
        for finding in error.findings:
            self.add(finding.code, finding.message, finding.file, line=finding.line, image=image)

    def count(self, code: str, number: int, file: Path) -> None:
        """Count findings that are not made one by one, because there is no room for them."""
        if number > 0:
            self._counts[code] += number
            self._last[code] = Finding(code, "", file)

    def result(self) -> tuple[Finding, ...]:
        """All findings; a code with too many ends in one that counts the rest."""
        more = []
        for code, last in self._last.items():
            number = self._counts[code] - MAX_PER_CODE
            message = f"and {number:,} more: {CODES[code][0]}"
            more.append(Finding(code, message, last.file, count=number))
        return (*self._kept, *more)


def data_error(
    code: str,
    file: Path,
    problem: str,
    *,
    fix: str | None = None,
    line: int | None = None,
    source: Path | None = None,
) -> InvalidData:
    """Make the error for a file, or a whole data set, that cannot be read.

    Args:
        code: a key of `CODES`.
        file: in which it is wrong.
        problem: what is given and what was expected, without a full stop.
        fix: what to do; what `CODES` says where left out.
        line: in that file, from 1.
        source: the data set, where that is not the file itself.
    """
    where = f"line {line}: " if line is not None else ""
    return InvalidData(
        str(source or file),
        f"{code} {where}{problem}",
        (fix or CODES[code][1]).rstrip("."),
        findings=(Finding(code, problem, file, line),),
    )


def shorten(value: object, *, length: int = 60) -> str:
    """Quote a value of a file, escaped and shortened."""
    shown = value if isinstance(value, str) else repr(value)
    return repr(shown if len(shown) <= length else f"{shown[:length]}…")
