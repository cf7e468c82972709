"""Results → files: what `predict --save` writes, each kind by its own writer."""

import errno
import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePath, PurePosixPath
from typing import Protocol, Self
from urllib.parse import urlsplit

import cv2

from ..errors import InvalidSource, lookup
from ..images import Frame
from ..images.mp4_times import set_frame_times
from ..io import OUTPUT_MARK, atomic_write, make_folder, make_output_folder, numbered, write_file
from ..io.folders import free_bytes, new_run_folder
from ..reports.drawing import crop, draw, encode_image
from ..structures import Detections, Image
from .coco_output import CocoWriter
from .table_outputs import CsvWriter, JsonLinesWriter

RUN_FOLDER = Path("runs/predict")
FALLBACK_FPS = 25.0  # for streams that do not tell theirs
HALF = 0.5  # of a frame's duration: nearer, times are those of a constant rate
LITTLE = 2**20  # bytes that are free where a disk is full for a video
LONGEST_NAME = 50  # letters; file systems allow 255 bytes, a letter takes up to four
RESERVED_NAMES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # on Windows


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
    the time that it had. A file takes its name when it is finished and can be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "video"
        self._video: cv2.VideoWriter | None = None
        self._saved = ExitStack()
        self._part = folder
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
        """Finish the video that is being written, if any.

        Raises:
            CannotWrite: the disk had no room for it.
        """
        video, self._video, self._now = self._video, None, None
        if video is None:
            return
        with self._saved:
            video.release()
            self._check()
            self._keep_times()

    def _check(self) -> None:
        """Require that what was written can be read: OpenCV reports nothing of a full disk."""
        made = cv2.VideoCapture(str(self._part))
        frames = int(made.get(cv2.CAP_PROP_FRAME_COUNT)) if made.isOpened() else 0
        made.release()
        if frames != len(self._times):
            free = free_bytes(self._folder) or 0
            problem = f"only {frames} of {len(self._times)} frames can be read again"
            raise OSError(errno.ENOSPC if free < LITTLE else errno.EIO, problem)

    def _keep_times(self) -> None:
        """Write the times of the frames into the file, unless they are those of its rate."""
        times = [time for time in self._times if time is not None]
        if len(times) < max(2, len(self._times)):
            return
        late = [time - times[0] - place / self._fps for place, time in enumerate(times)]
        if max(map(abs, late)) > HALF / self._fps:
            set_frame_times(self._part, times, 1 / self._fps)

    def _open(self, name: str, image: Image, fps: float | None) -> cv2.VideoWriter:
        make_folder(self._folder)
        path = self._folder / f"{name}.mp4"
        self._part = self._saved.enter_context(atomic_write(path, overwrite=False))
        height, width = image.shape[:2]
        codec = cv2.VideoWriter.fourcc(*"mp4v")
        self._fps, self._times = fps or FALLBACK_FPS, []
        video = cv2.VideoWriter(str(self._part), codec, self._fps, (width, height))
        if not video.isOpened():
            with self._saved:
                raise InvalidSource(name, f"cannot write a video of {width}×{height} to {path}")
        return video


def write_jpeg(path: Path, image: Image) -> None:
    """Write an RGB image, whole or not at all."""
    make_folder(path.parent)
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
    make_folder(path.parent)
    write_file(path, text, overwrite=False, sync=False)


def safe_name(text: str) -> str:
    """Untrusted text → a name for one file: no separators, no dots in front, not too long.

    >>> safe_name("../../etc/passwd")
    'etc_passwd'
    """
    name = re.sub(r"[^\w.-]+", "_", text).strip("._")[:LONGEST_NAME]
    return f"_{name}" if not name or RESERVED_NAMES.fullmatch(name) else name


class UniqueNames:
    """Gives every text a file name that no other text got, whatever the file system's case rules.

    Keeps one short string per name given.
    """

    def __init__(self) -> None:
        self._given: dict[str, int] = {}  # how often, by name in lower case

    def take(self, text: str) -> str:
        """A safe name for `text` that was not given before: `dog`, then `dog-2`."""
        name = safe_name(text)
        times = self._given.get(name.lower(), 0)
        free = next(
            other for other in numbered(name, start=times + 1) if other.lower() not in self._given
        )
        self._given[name.lower()] = times + 1
        self._given.setdefault(free.lower(), 1)
        return free


class FrameNames:
    """Names images and videos: `dog` for each image, `road` for all frames of one video."""

    def __init__(self) -> None:
        self._names = UniqueNames()
        self._video: tuple[str, int, str] | None = None  # source, last frame, its name

    def take(self, source: str, index: int | None) -> str:
        """A name for an image, or for a whole video; call it once for each frame, in order.

        Args:
            source: path, URL or camera.
            index: number of the frame in its video; None for an image.
        """
        video, self._video = self._video, None
        if video and index is not None and video[0] == source and video[1] < index:
            name = video[2]
        else:
            name = self._names.take(_stem(source))
        if index is not None:
            self._video = (source, index, name)
        return name


def _stem(source: str) -> str:
    """The last part of a path or an address, without suffix, user, password or query."""
    if "://" not in source:
        return PurePosixPath(source.replace("\\", "/")).stem
    address = urlsplit(source)
    return PurePosixPath(address.path).stem or address.hostname or "stream"


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
