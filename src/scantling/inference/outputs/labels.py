"""One label file an image: YOLO txt, VOC xml."""

from pathlib import Path, PurePath

from ...images import Frame
from ...io import write_file
from ...structures import Detections
from .pictures import frame_name


class YoloWriter:
    """`labels/NAME.txt`: label, centre, width and height as shares of the image, score."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "labels"

    def write(self, name: str, frame: Frame, detections: Detections | None) -> None:
        if detections is not None:
            _write(self._folder / f"{frame_name(name, frame)}.txt", detections.to_yolo())

    def close(self) -> None:
        """Nothing is open between images."""


class VocWriter:
    """`voc/NAME.xml`: a PASCAL VOC annotation, which has no place for scores."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "voc"

    def write(self, name: str, frame: Frame, detections: Detections | None) -> None:
        if detections is not None:
            filename = PurePath(frame.name).name
            _write(self._folder / f"{frame_name(name, frame)}.xml", detections.to_voc(filename))

    def close(self) -> None:
        """Nothing is open between images."""


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, text, overwrite=False, sync=False)
