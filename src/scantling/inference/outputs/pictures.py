"""Pictures of what was found: annotated images and videos, and a crop of each object."""

from pathlib import Path

import cv2
import numpy as np

from ...errors import InvalidSource
from ...images import Frame
from ...io import UniqueNames, unused, write_file
from ...reports.drawing import crop, draw
from ...structures import Detections, Image

FALLBACK_FPS = 25.0  # for streams that do not tell theirs


def frame_name(name: str, frame: Frame) -> str:
    """A file name without suffix: `dog`, or `road-000012` for a frame of the video `road`."""
    return name if frame.video is None else f"{name}-{frame.index:06d}"


class ImagesWriter:
    """`images/NAME.jpg`: each still image with its detections drawn on it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "images"

    def write(self, name: str, frame: Frame, detections: Detections | None) -> None:
        if detections is None or frame.image is None or frame.video is not None:
            return
        write_jpeg(self._folder / f"{frame_name(name, frame)}.jpg", draw(frame.image, detections))

    def close(self) -> None:
        """Nothing is open between images."""


class CropsWriter:
    """`crops/CLASS/NAME-1.jpg`: each detected object, in the folder of its class."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "crops"
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

    def close(self) -> None:
        """Nothing is open between images."""


class VideoWriter:
    """`video/NAME.mp4`: each video or stream with its detections drawn on it, at its own speed.

    A file that is not finished yet ends in `.part.mp4`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "video"
        self._video: cv2.VideoWriter | None = None
        self._part = self._final = folder
        self._now: tuple[str, tuple[int, ...]] | None = None  # source, and shape of its frames

    def write(self, name: str, frame: Frame, detections: Detections | None) -> None:
        if detections is None or frame.image is None or frame.video is None:
            return
        now = (name, frame.image.shape)
        if self._video is None or self._now != now:
            self.close()
            self._video = self._open(name, frame.image, frame.video.fps)
            self._now = now
        self._video.write(cv2.cvtColor(draw(frame.image, detections), cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """Finish the video that is being written, if any."""
        if self._video is not None:
            self._video.release()
            self._part.replace(unused(self._final))
        self._video = self._now = None

    def _open(self, name: str, image: Image, fps: float | None) -> cv2.VideoWriter:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._final = self._folder / f"{name}.mp4"
        self._part = unused(self._folder / f"{name}.part.mp4")
        height, width = image.shape[:2]
        codec = cv2.VideoWriter.fourcc(*"mp4v")
        video = cv2.VideoWriter(str(self._part), codec, fps or FALLBACK_FPS, (width, height))
        if not video.isOpened():
            raise InvalidSource(name, f"cannot write a video of {width}×{height} to {self._part}")
        return video


def write_jpeg(path: Path, image: Image) -> None:
    """Write an RGB image, whole or not at all."""
    encoded, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not encoded:
        raise InvalidSource(str(path), f"an image of shape {np.shape(image)} cannot be encoded")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, data.tobytes(), overwrite=False, sync=False)
