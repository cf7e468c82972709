"""Convert a data set to another format, and report what was dropped."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .dataset import Dataset
from .readers import list_splits, read_dataset
from .writers import Dropped, check_target, write_dataset


@dataclass(frozen=True)
class ConvertedSplit:
    """Counts of one split as it was read."""

    split: str
    images: int
    objects: int
    classes: int  # with objects
    crowd: int
    difficult: int


@dataclass(frozen=True)
class Conversion:
    """The result of a conversion: counts of each split, and what was dropped.

    Args:
        source: what was read.
        format: its format.
        folder: what was written.
        to: the format it was written in.
        splits: counts, a split each.
        dropped: what the new data set does not hold; empty if it holds everything.
    """

    source: str
    format: str
    folder: Path
    to: str
    splits: tuple[ConvertedSplit, ...]
    dropped: tuple[Dropped, ...]


def convert_dataset(
    source: str | Path,
    folder: str | Path,
    *,
    to: str,
    splits: Sequence[str] = (),
    format: str | None = None,  # noqa: A002 - as the readers call it
    images: str = "link",
    start: Callable[[Mapping[str, Dataset]], None] = lambda _: None,
    advance: Callable[[], None] = lambda: None,
) -> Conversion:
    """Read a data set and write it anew in another format.

    Every box and class is kept, and every flag that the format can hold.

    Args:
        source: a data set as `read_dataset` takes it.
        folder: to write; must not be there, or be empty.
        to: `coco`, `yolo`, `darknet` or `voc`.
        splits: which; all where left out.
        format: of the source; found out where left out.
        images: `link`, `copy` or `symlink`: how the image files get there.
        start: called with what was read, before anything is written.
        advance: called once an image.

    Raises:
        InvalidData: the source cannot be read, or not be written in this format.
        UnknownName: a split, format or way to place images is not known.
    """
    check_target(Path(folder), to=to, images=images)
    chosen = tuple(splits) or list_splits(source, format=format)
    datasets = {split: read_dataset(source, split=split, format=format) for split in chosen}
    start(datasets)
    dropped = write_dataset(datasets, Path(folder), to=to, images=images, advance=advance)
    return Conversion(
        str(source),
        next(iter(datasets.values())).format,
        Path(folder),
        to,
        tuple(_count(split, dataset) for split, dataset in datasets.items()),
        dropped,
    )


def _count(split: str, dataset: Dataset) -> ConvertedSplit:
    objects = dataset.objects
    return ConvertedSplit(
        split,
        len(dataset),
        len(objects),
        len(set(objects.labels.tolist())),
        int(objects.crowd.sum()),
        int(objects.difficult.sum()),
    )
