"""An output: `counts.csv`, a row an image or frame with the number of objects of each class."""

import csv
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from scantling.images import Frame
from scantling.io import unused
from scantling.structures import Detections


class CountsWriter:
    """One column a class, in the order of the labels; images that cannot be read are left out."""

    def __init__(self, folder: Path) -> None:
        self._path = unused(folder / "counts.csv")
        self._file: TextIO | None = None
        self._rows: Any = None

    def write(self, name: str, frame: Frame, detections: Detections | None) -> None:  # noqa: ARG002
        """Add a row; the first one brings the names of the classes."""
        if detections is None:
            return
        if self._file is None:
            self._file = self._path.open("x", encoding="utf-8", newline="")
            self._rows = csv.writer(self._file)
            self._rows.writerow(["source", "frame", *detections.names])
        counts = np.bincount(detections.labels, minlength=len(detections.names)).tolist()
        self._rows.writerow([frame.name, frame.index, *counts])

    def close(self) -> None:
        """Finish the file, if there was anything to write."""
        if self._file is not None:
            self._file.close()
