"""YOLO labels without a file that describes them: images, `.txt` files and a list of class names.

As Roboflow's darknet export, LabelImg, Label Studio, X-AnyLabeling and others leave them: with the
images of each split in a folder of its own (`train`, `valid`, `test`), in lists of that name, or
all together.
"""

import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ...errors import InvalidData
from ..findings import Problems, data_error
from ..safe_text import read_text
from .files import Folders, Walk, find_image_folders, find_images, is_image
from .label_files import Listed
from .layout import MAX_LIST, YAML, find_json_files, find_voc_roots, read_list
from .table import read_names_file

ALL = "all"  # the one split of a folder without any
SPLITS = {"train": "train", "valid": "val", "val": "val", "validation": "val", "test": "test"}
NAMES = ("classes.txt", "obj.names", "_darknet.labels", "labels.txt", "predefined_classes.txt")
SUFFIXES = (".names", ".labels")
PARTS = ("images", "labels", "obj_train_data", *SPLITS)  # folders that may hold names or splits
MOST_NAMES = 2_000  # of a folder, looked through for a label


@dataclass(frozen=True)
class PlainFolder:
    """A folder of images and labels.

    Args:
        names: the files of class names, which all say the same.
        splits: the folder or list of images of each.
    """

    names: tuple[Path, ...]
    splits: dict[str, Path]


def find_plain_folder(source: Path) -> PlainFolder | None:
    """The class names and splits of a folder without an index; None where it is none."""
    folders = Folders()
    if not source.is_dir() or _has_index(source, folders):
        return None
    names = _find_names(source, folders)
    if not names:
        return None
    splits = _find_splits(source, folders)
    if not splits and find_image_folders(source):
        splits = {ALL: source}
    return PlainFolder(names, splits) if splits else None


def read_class_names(folder: PlainFolder, problems: Problems) -> tuple[str, ...]:
    """The class names.

    Raises:
        InvalidData: the file cannot be read, or a second one says something else.
    """
    first, *others = folder.names
    names = read_names_file(first, problems=problems)
    for other in others:
        if read_names_file(other, problems=Problems()) != names:
            problem = f"names other classes than {str(first)!r}"
            raise data_error("E109", other, problem, fix="Keep the one that the labels are of")
    return names


def list_images(folder: PlainFolder, split: str, problems: Problems) -> list[Listed]:
    """The images of a split.

    Raises:
        InvalidData: E105 there are none; as `read_list`.
    """
    place = folder.splits[split]
    if not place.is_dir():
        return read_list(place, (), problems)
    images = [Listed(path, place) for path in find_images(place, Walk())]
    if not images:
        raise data_error("E105", place, "there are no images in it")
    return images


def describe_unknown(source: Path) -> tuple[str, str]:
    """What a folder of no known format holds, and what to write; empty where that is unclear."""
    images = find_image_folders(source) if source.is_dir() else []
    if not images:
        return "", ""
    folders = Folders()
    for folder in images:
        names = sorted(folders.names(str(folder)))[:MOST_NAMES]
        stems = {os.path.splitext(name)[0] for name in names if is_image(name)}  # noqa: PTH122
        beside = [Path(name).suffix for name in names if Path(name).stem in stems]
        labels = folder.parent / "labels"
        shown = str(folder.relative_to(source))
        if ".txt" in beside or any(name.endswith(".txt") for name in folders.names(str(labels))):
            where = f"beside the images in {shown!r}" if ".txt" in beside else repr(str(labels))
            return (
                f"there are .txt labels ({where}), but no file of class names",
                "Write classes.txt with one class a line, or a data.yaml with"
                f" `train: {shown}`, `val: {shown}` and `names: [cat, dog]`",
            )
        if ".xml" in beside:
            return (
                f"there are .xml files beside the images in {shown!r}",
                "For VOC, put the images into JPEGImages and the .xml files into Annotations",
            )
        table = next((name for name in names if name.startswith("_") and "annotations" in name), "")
        if table or ".json" in beside:
            what = table or "a .json file for each image"
            return (
                f"there are images in {shown!r} with {what}, which is not read",
                "Export the data as COCO, YOLO or VOC",
            )
    shown = str(images[0].relative_to(source))
    return f"there are images in {shown!r}, but no labels that are known", ""


def _has_index(source: Path, folders: Folders) -> bool:
    """Whether there is a file or folder that another format is known by."""
    names = folders.names(str(source))
    index = any(name.lower().endswith((".data", *YAML)) for name in names)
    return index or bool(find_json_files(source) or find_voc_roots(source))


def _find_names(source: Path, folders: Folders) -> tuple[Path, ...]:
    """Files of class names in a folder, or in those of its splits, images and labels."""
    below = [part for part in sorted(folders.names(str(source))) if part.lower() in PARTS]
    places = [source, *(source / part for part in below)]
    places += [place / part for place in places[1:] for part in ("images", "labels")]
    found: list[Path] = []
    for place in places:
        listed = folders.names(str(place))
        known = {name.lower(): name for name in listed}
        plain = [known[name] for name in NAMES if name in known]
        plain += sorted(
            name for name in listed if name.lower().endswith(SUFFIXES) and name not in plain
        )
        found += [place / name for name in plain if not _labels_an_image(name, listed)]
    return tuple(found)


def _labels_an_image(name: str, listed: frozenset[str]) -> bool:
    """Whether a file is the label file of an image, such as `classes.jpg`."""
    stem = os.path.splitext(name)[0]  # noqa: PTH122
    return any(is_image(other) and os.path.splitext(other)[0] == stem for other in listed)  # noqa: PTH122


def _find_splits(source: Path, folders: Folders) -> dict[str, Path]:
    """Folders of images, or lists, called as a split: here, or in `images`."""
    splits: dict[str, Path] = {}
    for place in (source, source / "images", source / "Images"):
        for name in sorted(folders.names(str(place))):
            path = place / name
            split = SPLITS.get(name.lower()) or SPLITS.get(name.lower().removesuffix(".txt"))
            if split is None or split in splits:
                continue
            if (path.is_dir() and find_image_folders(path)) or _is_list(path):
                splits[split] = path
    order = ("train", "val", "test")
    return {split: splits[split] for split in order if split in splits}


def _is_list(path: Path) -> bool:
    """Whether a text file names images, one a line."""
    if path.suffix.lower() != ".txt" or not path.is_file():
        return False
    try:
        lines = read_text(path, max_bytes=MAX_LIST).split("\n")
    except InvalidData:
        return False
    first = list(islice((line.strip() for line in lines if line.strip()), 1))
    return bool(first) and is_image(first[0].replace("\\", "/").rsplit("/", 1)[-1] or ".")
