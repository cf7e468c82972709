"""Results → files: what `predict --save` writes, each kind by its own writer."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol, Self

from ...errors import lookup
from ...images import Frame
from ...io import OUTPUT_MARK, FrameNames, make_output_folder, new_run_folder
from ...structures import Detections
from .labels import VocWriter, YoloWriter
from .pictures import CropsWriter, ImagesWriter, VideoWriter
from .tables import CocoWriter, CsvWriter, JsonLinesWriter, to_record

__all__ = ["WRITERS", "OutputWriter", "Outputs", "to_record"]

RUN_FOLDER = Path("runs/predict")


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
