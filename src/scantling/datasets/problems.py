"""Problems of a data set while it is read: collected as findings, or raised as one error."""

from collections import Counter
from pathlib import Path

from ..errors import InvalidData
from .findings import CODES, Finding

# A fault of a converter is in every line it wrote. So many of one code are shown one by one; a last
# finding tells how many more there are, so that the report of millions stays small.
MAX_PER_CODE = 1_000

Box = tuple[float, float, float, float]  # xyxy in pixels


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
