"""Results → files: what `predict --save` writes, each kind by its own writer."""

import csv
import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePath
from typing import Any, Protocol, Self

import cv2

from ..errors import InvalidSource, lookup
from ..images import Frame
from ..images.mp4_times import set_frame_times
from ..io import (
    OUTPUT_MARK,
    FrameNames,
    UniqueNames,
    make_output_folder,
    new_run_folder,
    unused,
    write_file,
)
from ..reports.csv_cells import as_cell
from ..reports.drawing import crop, draw, encode_image
from ..structures import Detections, Image
from .coco_output import CocoWriter

RUN_FOLDER = Path("runs/predict")
FALLBACK_FPS = 25.0  # for streams that do not tell theirs
HALF = 0.5  # of a frame's duration: nearer, times are those of a constant rate
COLUMNS = (
    *("source", "frame", "time", "reduced", "label", "name", "score"),
    *("left", "top", "right", "bottom"),
)


class OutputWriter(Protocol):
    """Writes results of one kind into a folder."""

    def write(self, name: str, frame: Frame, detections: Detections | None) -> None:
        """Write what was found in one frame; a kind that has no place for it passes it over.

        Args:
            name: safe and unique, of the image or of the whole video; see `frame_name`.
            frame: its `image` is there where the kind needs it.
            detections: None where the frame could not be read.
        """
        ...

    def close(self) -> None:
        """Finish what is still open. Called once, also after an error."""
        ...


class _FileWriter:
    """Base of the kinds that write whole files, none of which stays open."""

    _subfolder: str

    def __init__(self, folder: Path) -> None:
        self._folder = folder / self._subfolder

    def close(self) -> None:
        """Nothing is open between images."""


def frame_name(name: str, frame: Frame) -> str:
    """A file name without suffix: `dog`, or `road-000012` for a frame of the video `road`."""
    return name if frame.video is None else f"{name}-{frame.index:06d}"


class ImagesWriter(_FileWriter):
    """`images/NAME.jpg`: each still image with its detections drawn on it."""

    _subfolder = "images"

    def write(self, name: str, frame: Frame, detections: Detections | None) -> None:
        if detections is None or frame.image is None or frame.video is not None:
            return
        write_jpeg(self._folder / f"{frame_name(name, frame)}.jpg", draw(frame.image, detections))


class CropsWriter(_FileWriter):
    """`crops/CLASS/NAME-1.jpg`: each detected object, in the folder of its class."""

    _subfolder = "crops"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._names = UniqueNames()
        self._classes: dict[int, str] = {}  # folder of each label: names may be alike once safe

    def write(self, name: str, frame: Frame, detections: Detections | None) -> None:
        if detections is None or frame.image is None:
            return
        for number, (piece, label) in enumerate(
            zip(crop(frame.image, detections), detections.labels.tolist(), strict=True), start=1
        ):
            if label not in self._classes:
                self._classes[label] = self._names.take(detections.names[label])
            if piece.size:
                write_jpeg(
                    self._folder / self._classes[label] / f"{frame_name(name, frame)}-{number}.jpg",
                    piece,
                )


class VideoWriter:
    """`video/NAME.mp4`: each video or stream with its detections drawn on it, at its own times.

    A video whose frames are not evenly spaced is written at one rate first; then each frame gets
    the time that it had. A file that is not finished yet ends in `.part.mp4`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "video"
        self._video: cv2.VideoWriter | None = None
        self._part = self._final = folder
        self._now: tuple[str, tuple[int, ...]] | None = None  # source, and shape of its frames
        self._fps = FALLBACK_FPS
        self._times: list[float | None] = []

    def write(self, name: str, frame: Frame, detections: Detections | None) -> None:
        if detections is None or frame.image is None or frame.video is None:
            return
        now = (name, frame.image.shape)
        if self._video is None or self._now != now:
            self.close()
            self._video = self._open(name, frame.image, frame.video.fps)
            self._now = now
        self._times.append(frame.time)
        self._video.write(cv2.cvtColor(draw(frame.image, detections), cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """Finish the video that is being written, if any."""
        if self._video is not None:
            self._video.release()
            self._keep_times()
            self._part.replace(unused(self._final))
        self._video = self._now = None

    def _keep_times(self) -> None:
        """Write the times of the frames into the file, unless they are those of its rate."""
        times = [time for time in self._times if time is not None]
        if len(times) < max(2, len(self._times)):
            return
        late = [time - times[0] - place / self._fps for place, time in enumerate(times)]
        if max(map(abs, late)) > HALF / self._fps:
            set_frame_times(self._part, times, 1 / self._fps)

    def _open(self, name: str, image: Image, fps: float | None) -> cv2.VideoWriter:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._final = self._folder / f"{name}.mp4"
        self._part = unused(self._folder / f"{name}.part.mp4")
        height, width = image.shape[:2]
        codec = cv2.VideoWriter.fourcc(*"mp4v")
        self._fps, self._times = fps or FALLBACK_FPS, []
        video = cv2.VideoWriter(str(self._part), codec, self._fps, (width, height))
        if not video.isOpened():
            raise InvalidSource(name, f"cannot write a video of {width}×{height} to {self._part}")
        return video


def write_jpeg(path: Path, image: Image) -> None:
    """Write an RGB image, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, encode_image(image), overwrite=False, sync=False)


class YoloWriter(_FileWriter):
    """`labels/NAME.txt`: label, centre, width and height as shares of the image; no score."""

    _subfolder = "labels"

    def write(self, name: str, frame: Frame, detections: Detections | None) -> None:
        if detections is not None:
            _write_text(self._folder / f"{frame_name(name, frame)}.txt", detections.to_yolo())


class VocWriter(_FileWriter):
    """`voc/NAME.xml`: a PASCAL VOC annotation, which has no place for scores."""

    _subfolder = "voc"

    def write(self, name: str, frame: Frame, detections: Detections | None) -> None:
        if detections is not None:
            filename = PurePath(frame.name).name
            _write_text(
                self._folder / f"{frame_name(name, frame)}.xml", detections.to_voc(filename)
            )


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, text, overwrite=False, sync=False)


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
        self._file = path.open("x", encoding="utf-8", newline="")
        self._rows = csv.writer(self._file)
        self._rows.writerow(COLUMNS)

    def write(self, name: str, frame: Frame, detections: Detections | None) -> None:  # noqa: ARG002
        record = to_record(frame, detections)
        for found in record["detections"]:
            what = (found["label"], as_cell(found["name"]), found["score"], *found["box"])
            of_frame = (record[key] for key in ("frame", "time", "reduced"))
            self._rows.writerow((as_cell(record["source"]), *of_frame, *what))
        self._file.flush()

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


# Every writer: OutputWriter(folder). Each takes a subfolder or a file name of its own in it.
WRITERS: dict[str, Callable[[Path], OutputWriter]] = {
    "images": ImagesWriter,
    "video": VideoWriter,
    "jsonl": JsonLinesWriter,
    "csv": CsvWriter,
    "txt": YoloWriter,
    "voc": VocWriter,
    "coco": CocoWriter,
    "crops": CropsWriter,
}


class Outputs:
    """Several kinds of output in one folder; a context manager that finishes them on the way out.

    Attributes:
        folder: where they are; None where there are none.

    Args:
        kinds: names in `WRITERS`.
        folder: made if it is not there, and files in it are never overwritten. Left out, a new one:
            `runs/predict`, `runs/predict-2`, …. Removed again if nothing came of it.

    Raises:
        UnknownName: a kind that is not in `WRITERS`.
    """

    def __init__(self, kinds: Sequence[str], folder: Path | None = None) -> None:
        makers = [lookup(WRITERS, kind, "kind of output") for kind in dict.fromkeys(kinds)]
        self.folder: Path | None = None
        self._writers: list[OutputWriter] = []
        if makers:
            self.folder = folder or new_run_folder(RUN_FOLDER)
            make_output_folder(self.folder)
            self._names = FrameNames()
            self._writers = [make(self.folder) for make in makers]

    def write(self, frame: Frame, detections: Detections | None) -> None:
        """Write one frame's result in every kind. Call it for every frame, in order."""
        if not self._writers:
            return
        name = self._names.take(frame.name, None if frame.video is None else frame.index)
        for writer in self._writers:
            writer.write(name, frame, detections)

    def close(self) -> None:
        """Finish every file, even if one of them cannot be."""
        with ExitStack() as stack:
            stack.callback(self._leave_no_empty_folder)
            for writer in self._writers:
                stack.callback(writer.close)

    def _leave_no_empty_folder(self) -> None:
        if self.folder is not None and list(self.folder.iterdir()) == [self.folder / OUTPUT_MARK]:
            (self.folder / OUTPUT_MARK).unlink()
            self.folder.rmdir()
            self.folder = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
