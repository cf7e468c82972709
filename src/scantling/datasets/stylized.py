"""Stylised copies of data sets: style transfer on a share of the images; see `stylize`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from ..augment.stylize import stylize
from ..errors import InvalidSource, InvalidValue
from ..images.paths import kind_by_suffix
from ..images.read import read_image
from ..io import make_folder, writing
from ..io.folders import temporary_folder
from ..reports.drawing import encode_image
from ..structures import Image
from .dataset import Dataset
from .readers import list_splits, read_dataset
from .readers.layout import choose_split
from .writers import Dropped, check_target, write_dataset
from .writers.yolo import role_of

KEPT_STYLES = 64  # in memory
LONGEST_STYLE = 1024  # pixels; of a larger image the statistics are no better
JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")
PLAIN_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".webp")  # written without loss
JPEG_QUALITY = 95


@dataclass(frozen=True)
class StylizedSet:
    """The result of `stylize_dataset`.

    Args:
        folder: of the new data set.
        format: of both data sets.
        styles: how many style images there were.
        images: of each split.
        stylized: how many of them look like a style.
        dropped: what the writer of the format does not keep.
    """

    folder: Path
    format: str
    styles: int
    images: Mapping[str, int]
    stylized: Mapping[str, int]
    dropped: tuple[Dropped, ...]


def stylize_dataset(
    source: str | Path,
    folder: str | Path,
    *,
    styles: str | Path,
    share: float = 0.5,
    strength: float = 0.7,
    seed: int = 0,
    splits: Sequence[str] = (),
    format: str | None = None,  # noqa: A002 - as the readers call it
    start: Callable[[Mapping[str, Dataset], int], None] = lambda *_: None,
    advance: Callable[[], None] = lambda: None,
) -> StylizedSet:
    """Write a data set anew, a share of its images with the colours and texture of style images.

    Labels, format and splits stay; images that are not changed are linked.

    Args:
        source: a data set as `read_dataset` takes it.
        folder: to write; must not be there, or be empty.
        styles: an image, or a folder of images, those in folders below included.
        share: of the images of those splits that are changed, 0 to 1. An image that is in other
            splits too is changed there as well.
        strength: how far, 0 to 1; see `stylize`.
        seed: of which images take which style.
        splits: in which images are changed; the one to train on where left out, or all.
        format: of the source; found out where left out.
        start: called with what was read, and how often `advance` will be called.
        advance: called once an image that is changed, and once an image that is written.

    Raises:
        InvalidData: the source cannot be read or written, or the folder is not empty.
        InvalidSource: there are no style images, or an image cannot be read.
        InvalidValue: a number is out of range.
    """
    for name, value in (("share", share), ("strength", strength)):
        if not 0 <= value <= 1:
            raise InvalidValue(name, value, "a number from 0 to 1")
    paths = find_styles(Path(styles))
    known = list_splits(source, format=format)
    named = [choose_split(known, split, Path(source)) for split in splits]
    chosen = named or [split for split in known if role_of(split) == "train"] or list(known)
    datasets = {split: read_dataset(source, split=split, format=format) for split in known}
    kind, target = next(iter(datasets.values())).format, Path(folder).absolute()
    check_target(target, to=kind)
    picked = _choose([datasets[split] for split in chosen], share, seed)
    images = {split: len(dataset) for split, dataset in datasets.items()}
    stylized = {
        split: sum(image.path in picked for image in dataset.images)
        for split, dataset in datasets.items()
    }
    start(datasets, sum(images.values()) + len(picked))
    make_folder(target.parent)
    read_style = lru_cache(KEPT_STYLES)(_read_style)
    # beside the target, so that what is made here gets there by a link
    with temporary_folder(target) as place, writing(target):
        made: dict[Path, Path] = {}
        for number, path in enumerate(picked):
            rng = np.random.default_rng((seed, number))
            style = read_style(paths[int(rng.integers(len(paths)))])
            made[path] = _restyle(path, style, strength, place / str(number))
            advance()
        changed = {split: _with_paths(dataset, made) for split, dataset in datasets.items()}
        dropped = write_dataset(changed, target, to=kind, advance=advance)
    return StylizedSet(Path(folder), kind, len(paths), images, stylized, dropped)


def find_styles(styles: Path) -> tuple[Path, ...]:
    """Find the style images at a path, in the order of their names.

    Raises:
        InvalidSource: there are none.
    """
    if styles.is_file():
        return (styles,)
    found = sorted(
        path
        for path in styles.rglob("*")
        if kind_by_suffix(path.name) == "image" and path.is_file()
    )
    if not found:
        raise InvalidSource(str(styles), "no style images; name an image, or a folder with some")
    return tuple(found)


def _choose(datasets: Sequence[Dataset], share: float, seed: int) -> dict[Path, None]:
    """The image files to change, in the order of the data; a file may be in several splits."""
    # without a size, the writer leaves an image out
    usable = [image.path for one in datasets for image in one.images if image.size is not None]
    paths = list(dict.fromkeys(usable))
    count = round(share * len(paths))
    places = np.random.default_rng(seed).choice(len(paths), size=count, replace=False)
    return dict.fromkeys(paths[place] for place in np.sort(places))


def _with_paths(dataset: Dataset, made: Mapping[Path, Path]) -> Dataset:
    """The same data set with other files for some images."""
    images = (replace(image, path=made.get(image.path, image.path)) for image in dataset.images)
    return replace(dataset, images=tuple(images))


def _read_style(path: Path) -> Image:
    """A style image, made smaller if it is large."""
    image = read_image(path)
    factor = LONGEST_STYLE / max(image.shape[:2])
    if factor >= 1:
        return image
    smaller = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return np.asarray(smaller, np.uint8)


def _restyle(path: Path, style: Image, strength: float, folder: Path) -> Path:
    """A changed copy of an image, of the same name, in a new folder of its own."""
    pixels = stylize(read_image(path), style, strength=strength)
    suffix = path.suffix.lower()
    name = path.name if suffix in JPEG_SUFFIXES + PLAIN_SUFFIXES else f"{path.stem}.png"
    kind = ".jpg" if suffix in JPEG_SUFFIXES else Path(name).suffix.lower()
    folder.mkdir()
    (folder / name).write_bytes(encode_image(pixels, kind, quality=JPEG_QUALITY))
    return folder / name
