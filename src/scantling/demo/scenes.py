"""Synthetic labelled images; the same seed makes the same images."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..datasets.dataset import Dataset, LabelledImage, make_objects
from ..datasets.writers import check_target, write_dataset
from ..io import make_folder, writing
from ..io.folders import temporary_folder
from ..reports.drawing import encode_image
from ..structures import FloatArray, Image, IntArray
from .shapes import OUTLINES, TEXTURES, area_of, fill, rasterise

NAMES = tuple(OUTLINES)
IMAGE_SIZE = (192, 256)  # height, width
OBJECTS = (2, 6)  # of a picture; those that would hide another are left out
SIDES = (28.0, 72.0)  # pixels, of a square of the same area; even in their logarithm
LEAST_SEEN = 0.7  # of an object that others cover or the edge cuts
LEAST_CONTRAST = 110.0  # distance of its colour from what lies behind it, of 442
JPEG_QUALITY = 92


@dataclass(frozen=True, eq=False)
class Scene:
    """A synthetic image with its boxes and labels.

    Args:
        image: (H, W, 3) uint8 RGB.
        boxes: (T, 4) xyxy in pixels: of what can be seen of each object.
        labels: (T,) places in `NAMES`.
        owner: (H, W) which object each pixel shows, from 0; -1 for none.
    """

    image: Image
    boxes: FloatArray
    labels: IntArray
    owner: IntArray


def draw_scene(rng: np.random.Generator, *, image_size: tuple[int, int] = IMAGE_SIZE) -> Scene:
    """Draw an image with up to six objects on a cluttered background.

    Args:
        rng: of all that is in it.
        image_size: (height, width).
    """
    canvas = _draw_ground(rng, image_size)
    owner = np.full(image_size, -1, np.int64)
    labels: list[int] = []
    areas: list[float] = []
    for _ in range(int(rng.integers(OBJECTS[0], OBJECTS[1] + 1))):
        label = int(rng.integers(len(NAMES)))
        cover, whole = _draw_outline(rng, NAMES[label], image_size)
        solid = cover >= 0.5
        hidden = np.bincount(owner[solid] + 1, minlength=len(areas) + 1)[1:]
        seen = np.bincount(owner.ravel() + 1, minlength=len(areas) + 1)[1:] - hidden
        if solid.sum() < LEAST_SEEN * whole or (seen < LEAST_SEEN * np.array(areas)).any():
            continue
        _paint(canvas, cover, rng)
        owner[solid] = len(labels)
        labels.append(label)
        areas.append(whole)
    noise = rng.standard_normal(canvas.shape[:2], np.float32)
    canvas += np.float32(rng.uniform(1, 8)) * noise[:, :, None]
    image = np.clip(np.rint(canvas), 0, 255).astype(np.uint8)
    boxes = [_box_of(owner == number) for number in range(len(labels))]
    return Scene(
        image, np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int64), owner
    )


def draw_dataset(
    folder: Path,
    *,
    images: Mapping[str, int],
    seed: int = 0,
    image_size: tuple[int, int] = IMAGE_SIZE,
    advance: Callable[[], None] = lambda: None,
) -> None:
    """Draw a data set and write it as YOLO has it: `data.yaml`, `images/`, `labels/`.

    Args:
        folder: must not be there, or be empty.
        images: how many, by the name of the split.
        seed: the same one draws the same pictures.
        image_size: (height, width) of each.
        advance: called once an image.

    Raises:
        InvalidData: there is something in the folder.
        OSError: the disk is full, or a file cannot be written.
    """
    check_target(folder, to="yolo")
    make_folder(folder.parent)
    with temporary_folder(folder) as place, writing(folder):
        datasets = {}
        for number, (split, count) in enumerate(images.items()):
            scenes = (
                draw_scene(np.random.default_rng((seed, number, index)), image_size=image_size)
                for index in range(count)
            )
            datasets[split] = _keep(scenes, place / split, split, advance)
        write_dataset(datasets, folder, to="yolo")  # links: nothing is written twice


def _keep(
    scenes: Iterator[Scene], folder: Path, split: str, advance: Callable[[], None]
) -> Dataset:
    """Save scenes as image files, and return them as a split of a data set."""
    folder.mkdir()
    images: list[LabelledImage] = []
    boxes: list[FloatArray] = []
    labels: list[IntArray] = []
    for index, scene in enumerate(scenes):
        path = folder / f"{split}-{index:04d}.jpg"
        path.write_bytes(encode_image(scene.image, quality=JPEG_QUALITY))
        images.append(LabelledImage(path, path.stem, scene.owner.shape))
        boxes.append(scene.boxes)
        labels.append(scene.labels)
        advance()
    counts = [len(one) for one in labels]
    objects = make_objects(
        np.concatenate(boxes).astype(np.float64),
        np.concatenate(labels),
        np.repeat(np.arange(len(images)), counts),
    )
    places = tuple(range(len(NAMES)))
    return Dataset(folder, "yolo", split, NAMES, places, tuple(images), objects)


def _draw_outline(
    rng: np.random.Generator, name: str, image_size: tuple[int, int]
) -> tuple[FloatArray, float]:
    """Coverage of each pixel by an object, and its area before clipping."""
    height, width = image_size
    area, squeeze = np.exp(rng.uniform(*np.log(SIDES))) ** 2, rng.uniform(0.75, 1)
    radius = float(np.sqrt(area / (area_of(OUTLINES[name]) * squeeze)))
    cover = rasterise(
        OUTLINES[name],
        image_size,
        centre=(
            rng.uniform(0.6 * radius, width - 0.6 * radius),
            rng.uniform(0.6 * radius, height - 0.6 * radius),
        ),
        radius=radius,
        angle=rng.uniform(0, 2 * np.pi),
        squeeze=squeeze,
    )
    return cover, float(area)


def _draw_ground(rng: np.random.Generator, image_size: tuple[int, int]) -> FloatArray:
    """Draw a background of clouds and lines: (H, W, 3), 0 to 255."""
    height, width = image_size
    colours = rng.uniform(20, 235, (2, 3)).astype(np.float32)
    coarse = rng.uniform(0, 1, rng.integers(2, 9, 2)).astype(np.float32)
    clouds = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)[:, :, None]
    ground = np.ascontiguousarray(colours[0] * (1 - clouds) + colours[1] * clouds, np.float32)
    for _ in range(int(rng.integers(0, 7))):
        corners = rng.uniform((0, 0), (width, height), (int(rng.integers(2, 5)), 2))
        colour = tuple(rng.uniform(0, 255, 3).tolist())
        thickness = int(rng.integers(1, 4))
        cv2.polylines(ground, [np.rint(corners).astype(np.int32)], False, colour, thickness)
    return ground


def _paint(canvas: FloatArray, cover: FloatArray, rng: np.random.Generator) -> None:
    """Fill an outline with two like colours that stand out from what lies behind it."""
    left, top, right, bottom = _box_of(cover > 0)
    part, share = canvas[top:bottom, left:right], cover[top:bottom, left:right, None]
    behind = (part * share).sum(axis=(0, 1)) / share.sum()
    tried = rng.uniform(0, 255, (64, 3))
    far = np.linalg.norm(tried - behind, axis=1) > LEAST_CONTRAST
    first = tried[int(far.argmax())]
    second = first + (behind - first) * rng.uniform(-0.3, 0.2) + rng.uniform(-40, 40, 3)
    colours = np.clip(np.stack([first, second]), 0, 255).astype(np.float32)
    texture = str(rng.choice(list(TEXTURES)))
    part += share * (fill(texture, colours, part.shape[:2], rng) - part)


def _box_of(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Bounding box (left, top, right, bottom) of a mask that is not empty."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
