"""All detections in one file: JSON lines, CSV, COCO."""

import csv
import json
import shutil
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from ...images import Frame
from ...io import atomic_write, unused
from ...structures import Detections

COLUMNS = ("source", "frame", "label", "name", "score", "left", "top", "right", "bottom")


class JsonLinesWriter:
    """`detections.jsonl`: one object an image, complete on disk as soon as it is written."""

    def __init__(self, folder: Path) -> None:
        self._file = unused(folder / "detections.jsonl").open("x", encoding="utf-8")

    def write(self, name: str, frame: Frame, detections: Detections | None) -> None:  # noqa: ARG002
        self._file.write(json.dumps(to_record(frame, detections)) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class CsvWriter:
    """`detections.csv`: one row a detection."""

    def __init__(self, folder: Path) -> None:
        path = unused(folder / "detections.csv")
        self._file = path.open("x", encoding="utf-8", errors="backslashreplace", newline="")
        self._rows = csv.writer(self._file)
        self._rows.writerow(COLUMNS)

    def write(self, name: str, frame: Frame, detections: Detections | None) -> None:  # noqa: ARG002
        record = to_record(frame, detections)
        for found in record["detections"]:
            what = (found["label"], found["name"], found["score"], *found["box"])
            self._rows.writerow((record["source"], record["frame"], *what))
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class CocoWriter:
    """`coco.json`: images, annotations with scores, and categories; written when all is done.

    Category ids are labels; image ids count from 1.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "coco.json"
        # kept on disk until then: memory must not grow with the number of images
        self._images = TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - `close` does
        self._annotations = TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        self._image_count = self._annotation_count = 0
        self._names: tuple[str, ...] = ()

    def write(self, name: str, frame: Frame, detections: Detections | None) -> None:  # noqa: ARG002
        if detections is None:
            return
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
        categories = [{"id": label, "name": name} for label, name in enumerate(self._names)]
        with (
            self._images as images,
            self._annotations as annotations,
            atomic_write(self._path, overwrite=False) as part,
            part.open("w", encoding="utf-8") as file,
        ):
            file.write('{"categories": ' + json.dumps(categories))
            for key, items in (("images", images), ("annotations", annotations)):
                items.seek(0)
                file.write(f', "{key}": [\n')
                shutil.copyfileobj(items, file)
                file.write("]")
            file.write("}\n")


def to_record(frame: Frame, detections: Detections | None) -> dict[str, Any]:
    """One image as plain values for JSON.

    Keys: source; frame, its number in a video; image_size (height, width); detections (label, name,
    score, box as xyxy pixels; best first); problem, null or why there is no answer.
    """
    found = None if detections is None else detections.to_dict()
    return {
        "source": frame.name,
        "frame": frame.index,
        "image_size": None if found is None else found["image_size"],
        "detections": [] if found is None else found["detections"],
        "problem": frame.problem,
    }


def _append(items: IO[str], item: dict[str, Any]) -> None:
    """Add to a list of JSON values that counts its items from 1."""
    items.write(("," if item["id"] > 1 else "") + json.dumps(item) + "\n")
