"""Results as lines: `predict --save jsonl` and `csv`, which grow with every image."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..images import Frame
from ..io import numbered_paths, writing
from ..reports.csv_cells import as_cell
from ..structures import Detections

COLUMNS = (
    *("source", "frame", "time", "reduced", "label", "name", "score"),
    *("left", "top", "right", "bottom"),
)


class RecordFile:
    """A new file that grows by whole records, each on disk as soon as it is added.

    Attributes:
        path: of the file.

    Args:
        path: of the file; one that exists stays, and this one gets a number.

    Raises:
        CannotWrite: it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        with writing(path):
            for self.path in numbered_paths(path):
                with suppress(FileExistsError):
                    self._file = self.path.open("xb", buffering=0)
                    return

    def add(self, text: str) -> None:
        """Add a record, or nothing of it.

        Raises:
            CannotWrite: there is no room for it, or the disk fails.
        """
        start = self._file.tell()
        rest = memoryview(text.encode("utf-8", "backslashreplace"))
        with writing(self.path):
            try:
                while rest:
                    rest = rest[self._file.write(rest) :]
            except BaseException:
                self._file.truncate(start)
                self._file.seek(start)
                raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class JsonLinesWriter:
    """`detections.jsonl`: one object an image, complete on disk as soon as it is written."""

    def __init__(self, folder: Path) -> None:
        self._file = RecordFile(folder / "detections.jsonl")

    def write(self, name: str, frame: Frame, detections: Detections | None) -> None:  # noqa: ARG002
        self._file.add(json.dumps(to_record(frame, detections)) + "\n")

    def close(self) -> None:
        self._file.close()


class CsvWriter:
    """`detections.csv`: one row a detection."""

    def __init__(self, folder: Path) -> None:
        self._file = RecordFile(folder / "detections.csv")
        self._add([COLUMNS])

    def write(self, name: str, frame: Frame, detections: Detections | None) -> None:  # noqa: ARG002
        record = to_record(frame, detections)
        of_frame = [record[key] for key in ("source", "frame", "time", "reduced")]
        self._add(
            [*of_frame, found["label"], found["name"], found["score"], *found["box"]]
            for found in record["detections"]
        )

    def _add(self, rows: Iterable[Sequence[object]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text).writerows(map(as_cell, row) for row in rows)
        self._file.add(text.getvalue())

    def close(self) -> None:
        self._file.close()


def to_record(frame: Frame, detections: Detections | None) -> dict[str, Any]:
    """One image as plain values for JSON.

    Keys: source; frame, its number in a video; time, its moment there in seconds, null for what has
    none; image_size (height, width); reduced, whether it was
    decoded as a reduced copy (`fast_decode`); detections (label, name, score, box as xyxy pixels;
    best first); problem, null or why there is no answer.
    """
    found = None if detections is None else detections.to_dict()
    return {
        "source": frame.name,
        "frame": frame.index,
        "time": None if frame.time is None else round(frame.time, 6),
        "image_size": None if found is None else found["image_size"],
        "reduced": frame.reduced,
        "detections": [] if found is None else found["detections"],
        "problem": frame.problem,
    }
