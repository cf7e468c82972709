"""Data sets → files: COCO, YOLO, darknet, Pascal VOC; a folder is written whole or not at all."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from ...errors import InvalidData, lookup
from ...io.folders import atomic_folder
from ..dataset import Dataset
from .coco import write_coco
from .darknet import write_darknet
from .files import IMAGE_MODES, ImageMode
from .plan import make_plan
from .values import Dropped, WritePlan
from .voc import write_voc
from .yolo import write_yolo

__all__ = ["WRITERS", "Dropped", "check_target", "write_dataset"]


class Writer(Protocol):
    """Writes a data set in one format into an empty folder; returns what was dropped."""

    def __call__(
        self, plan: WritePlan, folder: Path, *, images: ImageMode, advance: Callable[[], None]
    ) -> tuple[Dropped, ...]:
        """Write; `advance` is called once an image."""
        ...


# Every writer: a format's name → Writer.
WRITERS: dict[str, Writer] = {
    "coco": write_coco,
    "yolo": write_yolo,
    "darknet": write_darknet,
    "voc": write_voc,
}


def write_dataset(
    datasets: Mapping[str, Dataset],
    folder: Path,
    *,
    to: str,
    images: str = "link",
    advance: Callable[[], None] = lambda: None,
) -> tuple[Dropped, ...]:
    """Write the splits of a data set into a new folder, in any format of `WRITERS`.

    What is there is whole, whenever a run was killed.

    Args:
        datasets: by the name of the split.
        folder: must not be there, or be empty.
        to: a key of `WRITERS`.
        images: a key of `IMAGE_MODES`: how the image files get there.
        advance: called once an image.

    Returns:
        What the written data set does not hold.

    Raises:
        UnknownName: `to` or `images` is not known.
        InvalidData: the folder is not empty, or the data set cannot be written in this format.
        OSError: the disk is full, or a file cannot be read or written.
    """
    check_target(folder, to=to, images=images)
    write, folder = WRITERS[to], Path(folder).absolute()
    plan = make_plan(datasets, name=folder.name)
    with atomic_folder(folder) as partial:
        dropped = write(plan, partial, images=images, advance=advance)  # type: ignore[arg-type]
    return (*plan.dropped, *dropped)


def check_target(folder: Path, *, to: str, images: str = "link") -> None:
    """Check the target of `write_dataset` before much is read.

    Raises:
        UnknownName: `to` or `images` is not known.
        InvalidData: the folder is not empty, or is a file.
    """
    lookup(WRITERS, to, "format of data sets")
    lookup(IMAGE_MODES, images, "way to place images")
    if not folder.exists():
        return
    if not folder.is_dir() or any(folder.iterdir()):
        what = "is not empty" if folder.is_dir() else "is a file"
        raise InvalidData(str(folder), what, "Name a folder that is not there yet")
