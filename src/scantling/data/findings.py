"""What can be wrong with a data set: every code, and a finding, one place where it is."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# Every code: what it says, and what to do. E: an error, the object or image cannot be used as it
# stands; W: a warning, it can, but look. A code never changes its meaning; a new one gets a new
# number. 1xx the data set as a whole, 2xx labels, 3xx images, 4xx repetition, 5xx fitness.
CODES: dict[str, tuple[str, str]] = {
    "E101": ("a file of the data set cannot be read", "Mend or replace it."),
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, and where.

    Args:
        code: a key of `CODES`.
        message: what is given and what was expected, in one sentence without a full stop.
        file: in which it is wrong: a label file, an image, a list, a JSON.
        line: in that file, from 1; None where lines mean nothing.
        item: the place within a file that lines do not tell, such as `annotations[12]`.
        image: the image it belongs to, if it belongs to one.
    """

    code: str
    message: str
    file: Path
    line: int | None = None
    item: str = ""
    image: Path | None = None

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
    return dict(sorted(Counter(finding.code for finding in findings).items()))
