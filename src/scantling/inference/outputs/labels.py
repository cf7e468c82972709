"""One label file an image: YOLO txt, VOC xml."""

from pathlib import Path, PurePath

from ...io import write_file
from .result import Result


class YoloWriter:
    """`labels/NAME.txt`: label, centre, width and height as shares of the image, score."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "labels"

    def write(self, result: Result) -> None:
        if result.detections is not None:
            _write(self._folder / f"{result.name}.txt", result.detections.to_yolo())

    def close(self) -> None:
        """Nothing is open between images."""


class VocWriter:
    """`voc/NAME.xml`: a PASCAL VOC annotation, which has no place for scores."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "voc"

    def write(self, result: Result) -> None:
        if result.detections is not None:
            filename = PurePath(result.frame.name).name
            _write(self._folder / f"{result.name}.xml", result.detections.to_voc(filename))

    def close(self) -> None:
        """Nothing is open between images."""


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, text, overwrite=False, sync=False)
