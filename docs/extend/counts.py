"""An output: `counts.csv`, a row an image or frame with the number of objects of each class."""

import csv
import io
from pathlib import Path

import numpy as np

from scantling.images import Frame
from scantling.inference.table_outputs import RecordFile
from scantling.reports.csv_cells import as_cell
from scantling.structures import Detections


class CountsWriter:
    """One column a class, in the order of the labels; images that cannot be read are left out."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "counts.csv"
        self._file: RecordFile | None = None

    def write(self, name: str, frame: Frame, detections: Detections | None) -> None:  # noqa: ARG002
        """Add a row; the first one brings the names of the classes."""
        if detections is None:
            return
        if self._file is None:
            self._file = RecordFile(self._path)
            self._add(["source", "frame", *detections.names])
        counts = np.bincount(detections.labels, minlength=len(detections.names)).tolist()
        self._add([frame.name, frame.index, *counts])

    def _add(self, row: list[object]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text).writerow(map(as_cell, row))
        self._file.add(text.getvalue())

    def close(self) -> None:
        """Finish the file, if there was anything to write."""
        if self._file is not None:
            self._file.close()
