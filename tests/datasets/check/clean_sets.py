"""A small data set without any fault, in each of the four formats, as files in memory."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np

NAMES = ("cat", "dog", "bird")
WIDTH, HEIGHT = 80, 64
Files = dict[str, bytes]


@dataclass(frozen=True)
class Thing:
    """An object: its class, and left, top, right, bottom in whole pixels."""

    label: int
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Photo:
    """An image of the set. `declared` is the size that labels state, where a format states one."""

    name: str
    data: bytes
    things: tuple[Thing, ...]
    size: tuple[int, int] = (HEIGHT, WIDTH)
    suffix: str = ".png"

    @property
    def file(self) -> str:
        return self.name + self.suffix

    def with_things(self, *things: Thing) -> "Photo":
        return replace(self, things=things)


@dataclass(frozen=True)
class Content:
    """What a set holds, before it takes the form of a format."""

    names: tuple[str, ...] = NAMES
    splits: dict[str, tuple[Photo, ...]] = field(default_factory=dict)

    def change(self, name: str, change: Callable[[Photo], Photo]) -> "Content":
        """Another set in which one image is another."""
        splits = {
            split: tuple(change(one) if one.name == name else one for one in photos)
            for split, photos in self.splits.items()
        }
        return replace(self, splits=splits)

    def add(self, split: str, photo: Photo) -> "Content":
        return replace(self, splits={**self.splits, split: (*self.splits[split], photo)})


@cache
def texture(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Blots that no other seed has: their hashes are far apart."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    image.flags.writeable = False
    return image


def encode(image: np.ndarray, suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()


@cache
def photo(seed: int) -> Photo:
    shift = seed % 5
    things = (
        Thing(0, (4 + shift, 8, 36 + shift, 40)),
        Thing(1, (40, 16 + shift, 72, 56)),
        Thing(2, (8, 44, 28 + shift, 60)),
    )
    return Photo(f"p{seed}", encode(texture(seed)), things)


@cache
def clean_content() -> Content:
    train = tuple(photo(seed) for seed in range(4))
    return Content(splits={"train": train, "val": tuple(photo(seed) for seed in (10, 11))})


def label_line(thing: Thing, size: tuple[int, int]) -> str:
    """Class, centre and size as shares of the image."""
    height, width = size
    left, top, right, bottom = thing.box
    values = (
        (left + right) / 2 / width,
        (top + bottom) / 2 / height,
        (right - left) / width,
        (bottom - top) / height,
    )
    return " ".join([str(thing.label), *(f"{value:.8g}" for value in values)])


def label_text(photo: Photo) -> bytes:
    return "".join(f"{label_line(thing, photo.size)}\n" for thing in photo.things).encode()


def yolo_files(content: Content) -> Files:
    names = "".join(f"  {label}: {name}\n" for label, name in enumerate(content.names))
    splits = "".join(f"{split}: images/{split}\n" for split in content.splits)
    files = {"data.yaml": f"path: .\n{splits}nc: {len(content.names)}\nnames:\n{names}".encode()}
    for split, photos in content.splits.items():
        for one in photos:
            files[f"images/{split}/{one.file}"] = one.data
            files[f"labels/{split}/{one.name}.txt"] = label_text(one)
    return files


def darknet_files(content: Content) -> Files:
    files = {
        "obj.data": (
            f"classes = {len(content.names)}\ntrain = train.txt\nvalid = val.txt\n"
            "names = obj.names\nbackup = backup\n"
        ).encode(),
        "obj.names": "".join(f"{name}\n" for name in content.names).encode(),
    }
    for split, photos in content.splits.items():
        paths = [f"images/{split}/{one.file}" for one in photos]
        files[f"{split}.txt"] = "".join(f"{path}\n" for path in paths).encode()
        for path, one in zip(paths, photos, strict=True):
            files[path] = one.data
            files[f"labels/{split}/{one.name}.txt"] = label_text(one)
    return files


def voc_annotation(photo: Photo, names: Sequence[str]) -> bytes:
    height, width = photo.size
    lines = [
        "<annotation>",
        "<folder>VOC</folder>",
        f"<filename>{photo.file}</filename>",
        f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>",
    ]
    for thing in photo.things:
        left, top, right, bottom = (f"{value:g}" for value in thing.box)
        # VOC counts pixels from 1, the last one included
        lines += [
            "<object>",
            f"<name>{names[thing.label]}</name>",
            "<difficult>0</difficult>",
            "<bndbox>",
            f"<xmin>{float(left) + 1:g}</xmin><ymin>{float(top) + 1:g}</ymin>"
            f"<xmax>{right}</xmax><ymax>{bottom}</ymax>",
            "</bndbox>",
            "</object>",
        ]
    return "\n".join([*lines, "</annotation>", ""]).encode()


def voc_files(content: Content) -> Files:
    files: Files = {}
    for split, photos in content.splits.items():
        files[f"ImageSets/Main/{split}.txt"] = "".join(f"{one.name}\n" for one in photos).encode()
        for one in photos:
            files[f"JPEGImages/{one.file}"] = one.data
            files[f"Annotations/{one.name}.xml"] = voc_annotation(one, content.names)
    return files


def coco_document(photos: Sequence[Photo], names: Sequence[str]) -> dict:
    images, annotations = [], []
    for number, one in enumerate(photos, start=1):
        height, width = one.size
        images.append({"id": number, "file_name": f"{one.file}", "width": width, "height": height})
        for thing in one.things:
            left, top, right, bottom = thing.box
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": thing.label + 1,
                    "bbox": [left, top, right - left, bottom - top],
                    "area": (right - left) * (bottom - top),
                    "iscrowd": 0,
                }
            )
    categories = [{"id": label + 1, "name": name} for label, name in enumerate(names)]
    return {"images": images, "annotations": annotations, "categories": categories}


def coco_files(content: Content) -> Files:
    files: Files = {}
    for split, photos in content.splits.items():
        document = coco_document(photos, content.names)
        files[f"annotations/instances_{split}.json"] = json.dumps(document, indent=1).encode()
        for one in photos:
            files[f"{split}/{one.file}"] = one.data
    return files


@dataclass(frozen=True)
class Layout:
    """Where a format keeps what, as patterns of `split` and the `name` or `file` of an image."""

    files: Callable[[Content], Files]
    image: str
    label: str
    listing: str
    lines: bool = False  # whether each object stands on a line of its own

    def image_of(self, split: str, photo: Photo) -> str:
        return self.image.format(split=split, file=photo.file)

    def label_of(self, split: str, photo: Photo) -> str:
        return self.label.format(split=split, name=photo.name)


LAYOUTS: dict[str, Layout] = {
    "yolo": Layout(
        yolo_files, "images/{split}/{file}", "labels/{split}/{name}.txt", "data.yaml", lines=True
    ),
    "darknet": Layout(
        darknet_files,
        "images/{split}/{file}",
        "labels/{split}/{name}.txt",
        "{split}.txt",
        lines=True,
    ),
    "voc": Layout(
        voc_files, "JPEGImages/{file}", "Annotations/{name}.xml", "ImageSets/Main/{split}.txt"
    ),
    "coco": Layout(
        coco_files,
        "{split}/{file}",
        "annotations/instances_{split}.json",
        "annotations/instances_{split}.json",
    ),
}


def write_files(files: Files, folder: Path) -> Path:
    """Write the files; what a converter would be handed is the folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder
