"""Labelled data sets as people have them: COCO, YOLO, darknet and Pascal VOC → one `Dataset`.

Boxes are given as the file has them, even where they reach beyond the image: writing gives back
the same. Whoever trains on them cuts them off.
"""

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Protocol

import numpy as np

from ...errors import InvalidData, counted, lookup
from ..dataset import Dataset
from ..findings import Problems, count_codes, data_error
from . import coco, darknet, voc, yolo
from .files import HeaderReader, read_file_header
from .layout import choose_split, find_data_file, find_json_files, find_voc_roots, find_yaml
from .no_index import describe_unknown, find_plain_folder


class ReadSplit(Protocol):
    """Reads one split; problems of single images and labels become findings."""

    def __call__(
        self, source: Path, split: str, *, problems: Problems, reader: HeaderReader
    ) -> Dataset: ...


@dataclass(frozen=True)
class Reader:
    """A reader of one data set format.

    Args:
        fits: finds the files that the format is known by; empty or None where it is another.
        list_splits: the names of its splits.
        read: one split of it.
        example: what a source of it looks like.
    """

    fits: Callable[[Path], object]
    list_splits: Callable[[Path], tuple[str, ...]]
    read: ReadSplit
    example: str


# Every reader: Reader(fits(source), list_splits(source), read(source, split, *, problems, reader)).
READERS: dict[str, Reader] = {
    "coco": Reader(
        find_json_files, coco.list_splits, coco.read,
        "a .json file, or a folder with annotations/*.json",
    ),
    "yolo": Reader(
        find_yaml, yolo.list_splits, yolo.read,
        "a data.yaml, a folder with one, or one with images, .txt labels and classes.txt",
    ),
    "darknet": Reader(
        find_data_file, darknet.list_splits, darknet.read, "a .data file, or a folder with one"
    ),
    "voc": Reader(
        find_voc_roots, voc.list_splits, voc.read, "a folder with JPEGImages and Annotations"
    ),
}  # fmt: skip


def read_dataset(
    source: str | PathLike[str],
    *,
    split: str | None = None,
    format: str | None = None,  # noqa: A002 - what people call it
    read_header: HeaderReader = read_file_header,
) -> Dataset:
    """Read one split of a labelled data set; problems of its labels become findings.

    An object with an error is left out, and a finding says so; one with a warning is kept.

    Args:
        source: a COCO folder or JSON file, a YOLO `data.yaml`, a darknet `.data`, a VOC folder.
        split: its name, or how the only such name begins; if None `val`, else `test`, else the only
            one there is. Darknet's `valid` is called `val`.
        format: a key of `READERS`; found by what is there if None.
        read_header: reads an image file's kind, size and orientation.

    Raises:
        InvalidData: the data set as a whole cannot be read; its `findings` say why, by code.
        UnknownName: `format` is no key of `READERS`.
    """
    path, reader = _reader_of(source, format)
    chosen = choose_split(reader.list_splits(path), split, path)
    problems = Problems()
    try:
        return reader.read(path, chosen, problems=problems, reader=read_header)
    except InvalidData as error:
        error.findings = (*problems.result(), *error.findings)  # what was found before it, too
        raise


def list_splits(
    source: str | PathLike[str],
    *,
    format: str | None = None,  # noqa: A002 - what people call it
) -> tuple[str, ...]:
    """The names of a data set's splits.

    Raises:
        InvalidData: it cannot be read.
        UnknownName: `format` is no key of `READERS`.
    """
    path, reader = _reader_of(source, format)
    return reader.list_splits(path)


def detect_format(source: str | PathLike[str]) -> str:
    """Detect the format of a data set, a key of `READERS`, from its files.

    Raises:
        InvalidData: there is nothing, no format fits, or more than one does.
    """
    path = _check_there(source)
    found = [name for name, reader in READERS.items() if reader.fits(path)]
    if not found and find_plain_folder(path) is not None:
        return "yolo"
    if len(found) == 1:
        return found[0]
    if not found:
        expected = "; ".join(f"{name}: {reader.example}" for name, reader in READERS.items())
        holds, advice = describe_unknown(path)
        problem = f"is no data set of a known format{holds and f': {holds}'}"
        raise data_error("E110", path, problem, fix=advice or f"Give {expected}")
    fix = f"Name the file itself, or say which is meant: format {' or '.join(found)}"
    raise data_error("E103", path, f"is of several formats: {', '.join(found)}", fix=fix)


def describe_dataset(dataset: Dataset) -> str:
    """Summarise a data set in one line: format, split and counts; findings by their codes."""
    objects = dataset.objects
    without = len(dataset) - len(np.unique(objects.image_index))
    shown = [
        counted(len(dataset), "image"),
        counted(len(objects), "object"),
        counted(len(dataset.names), "class", "classes"),
    ]
    if without:
        shown.append(counted(without, "image without objects", "images without objects"))
    for flag, flags in (("crowd", objects.crowd), ("difficult", objects.difficult)):
        shown += [f"{flags.sum():,} {flag}"] if flags.any() else []
    codes = count_codes(dataset.findings)
    for letter, what in (("E", "error"), ("W", "warning")):
        some = {code: count for code, count in codes.items() if code.startswith(letter)}
        if some:
            which = ", ".join(code if n == 1 else f"{n:,} × {code}" for code, n in some.items())
            shown.append(f"{counted(sum(some.values()), what)} ({which})")
    return f"{dataset.format} {dataset.split}: {', '.join(shown)}"


def _check_there(source: str | PathLike[str]) -> Path:
    path = Path(source)
    try:
        there = path.exists()
    except (OSError, ValueError):  # a name that no file can have
        there = False
    if not there:
        fix = "Correct the path"
        raise data_error("E101", path, "there is no such file or folder", fix=fix)
    return path


def _reader_of(source: str | PathLike[str], name: str | None) -> tuple[Path, Reader]:
    path = _check_there(source)
    return path, lookup(READERS, name or detect_format(path), "data format")
