"""Results as one COCO document: what `predict --save coco` writes."""

import json
import shutil
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from ..images import Frame
from ..io import atomic_write, writing
from ..structures import Detections


class CocoWriter:
    """`coco.json`: images, annotations with scores, and categories; written when all is done.

    Category ids are labels; image ids count from 1.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "coco.json"
        # kept on disk until then: memory must not grow with the number of images
        with writing(self._path):
            self._images = _open_temporary(folder)
            self._annotations = _open_temporary(folder)
        self._image_count = self._annotation_count = 0
        self._names: tuple[str, ...] = ()
        self._failed = False

    def write(self, name: str, frame: Frame, detections: Detections | None) -> None:  # noqa: ARG002
        if detections is None:
            return
        self._failed, failed = True, self._failed  # until all of it is on the disk
        with writing(self._path):
            self._add(frame, detections)
        self._failed = failed

    def _add(self, frame: Frame, detections: Detections) -> None:
        self._names = detections.names
        self._image_count += 1
        height, width = detections.image_size
        size = {"height": height, "width": width}
        image = {"id": self._image_count, "file_name": frame.name, **size}
        if frame.video is not None:
            image["frame"] = frame.index
        _append(self._images, image)
        for found in detections.to_coco(self._image_count):
            self._annotation_count += 1
            _, _, box_width, box_height = found["bbox"]
            more = {"id": self._annotation_count, "area": box_width * box_height, "iscrowd": 0}
            _append(self._annotations, {**found, **more})

    def close(self) -> None:
        try:
            if not self._failed:
                self._write()
        finally:
            for file in (self._images, self._annotations):
                with suppress(OSError):  # of what it still has in memory
                    file.close()

    def _write(self) -> None:
        categories = [{"id": label, "name": name} for label, name in enumerate(self._names)]
        with (
            atomic_write(self._path, overwrite=False) as part,
            part.open("w", encoding="utf-8") as file,
        ):
            file.write('{"categories": ' + json.dumps(categories))
            for key, items in (("images", self._images), ("annotations", self._annotations)):
                items.seek(0)
                file.write(f', "{key}": [\n')
                shutil.copyfileobj(items, file)
                file.write("]")
            file.write("}\n")


def _open_temporary(folder: Path) -> IO[str]:
    return TemporaryFile("w+", encoding="utf-8", dir=folder)


def _append(items: IO[str], item: dict[str, Any]) -> None:
    """Add to a list of JSON values that counts its items from 1."""
    items.write(("," if item["id"] > 1 else "") + json.dumps(item) + "\n")
