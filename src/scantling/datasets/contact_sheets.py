"""Contact sheets: a grid of labelled images, to check labels at a glance."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ..augment import AUGMENTATIONS, MIXERS, TRANSFORMS, create
from ..errors import InvalidValue, lookup
from ..images.letterbox import resize_and_pad
from ..images.read import read_image
from ..reports.drawing import BLACK, FONT, WHITE, Color, class_color, draw
from ..structures import Detections, FloatArray, Image, IntArray, Sample
from .dataset import Dataset, Flags

Augment = Callable[[Sample, np.random.Generator], Sample]

PAPER = 245  # grey of the sheet
GAP, CAPTION = 6, 18  # pixels between cells, and below each for its caption
DASH = 5  # pixels
MAX_SHEET = 1 << 28  # pixels of a sheet


@dataclass(frozen=True, eq=False)
class SheetImage:
    """One image of a contact sheet: (H, W, 3) RGB, its labels and caption."""

    image: Image
    boxes: FloatArray  # (M, 4) xyxy in pixels of `image`
    labels: IntArray  # (M,)
    crowd: Flags  # (M,)
    difficult: Flags  # (M,)
    caption: str


def dataset_sheet(
    dataset: Dataset,
    *,
    count: int = 16,
    rng: np.random.Generator,
    names: Sequence[str] = (),
    augment: Augment | None = None,
    columns: int | None = None,
    cell: int = 320,
) -> Image:
    """A contact sheet of images sampled at random, in the order of the data set.

    Args:
        dataset: where they come from.
        count: how many images; fewer if there are not as many.
        rng: which, and the chance in `augment`.
        names: only images with an object of one of these classes; all images where left out.
        augment: what training does to each; shows the images as the network will see them.
        columns: images in a row; None for a sheet about as wide as high.
        cell: side in pixels of the square each image is fitted into.

    Raises:
        UnknownName: the data set has no class of such a name.
        InvalidValue: no image has an object of those classes, or the sheet would be too large.
        InvalidSource: an image cannot be read.
    """
    found = choose_images(dataset, count=count, rng=rng, names=names)
    if not len(found):
        given = ", ".join(names) or dataset.split
        raise InvalidValue("classes", given, "some that an image of this split shows")
    pictures = (_read(dataset, int(place), augment, rng) for place in found)
    return contact_sheet(pictures, dataset.names, count=len(found), columns=columns, cell=cell)


def choose_images(
    dataset: Dataset, *, count: int, rng: np.random.Generator, names: Sequence[str] = ()
) -> IntArray:
    """Indices of images sampled without replacement, ascending.

    Raises:
        UnknownName: the data set has no class of such a name.
    """
    places = np.arange(len(dataset), dtype=np.int64)
    if names:
        known = {name: label for label, name in enumerate(dataset.names)}
        labels = [lookup(known, name, "class of this data set") for name in names]
        shown = np.isin(dataset.objects.labels, labels)
        places = np.unique(dataset.objects.image_index[shown])
    return np.sort(rng.choice(places, size=min(count, len(places)), replace=False))


def contact_sheet(
    pictures: Sequence[SheetImage] | Iterator[SheetImage],
    names: Sequence[str],
    *,
    count: int,
    columns: int | None = None,
    cell: int = 320,
) -> Image:
    """Lay images out in a grid, each with its labelled boxes and a caption.

    A box of a crowd is dashed in white, one that is difficult in black; the caption counts both,
    and the objects of each class in the colour of its boxes, as far as there is room. A name that
    would be larger than its box is left out.

    Args:
        pictures: taken one at a time, so that an iterator needs the memory of one.
        names: of the classes, by label.
        count: how many pictures there are.
        columns: in a row; None for a sheet about as wide as high.
        cell: side in pixels of the square each is fitted into.

    Returns:
        (H, W, 3) RGB.

    Raises:
        InvalidValue: a number is too small, or the sheet would be too large.
    """
    columns = min(count, columns or int(np.ceil(np.sqrt(count))))
    if count < 1 or columns < 1 or cell < 32:
        raise InvalidValue("sheet", (count, columns, cell), "1 image, 1 column, 32 pixels or more")
    rows = -(-count // columns)
    height, width = rows * (cell + CAPTION + GAP) + GAP, columns * (cell + GAP) + GAP
    if height * width > MAX_SHEET:
        expected = f"at most {MAX_SHEET} pixels: show fewer images or smaller ones"
        raise InvalidValue("sheet", f"{width}×{height}", expected)
    sheet = np.full((height, width, 3), PAPER, np.uint8)
    for number, picture in zip(range(count), pictures, strict=True):
        row, column = divmod(number, columns)
        top, left = GAP + row * (cell + CAPTION + GAP), GAP + column * (cell + GAP)
        drawn = draw_picture(picture, names, cell=cell)
        sheet[top : top + cell, left : left + cell] = drawn
        strip = sheet[top + cell : top + cell + CAPTION, left : left + cell]
        _write_caption(strip, picture, names)
    return sheet


def draw_picture(picture: SheetImage, names: Sequence[str], *, cell: int) -> Image:
    """One image with its boxes, fitted into a square: (cell, cell, 3) RGB."""
    fitted, placement = resize_and_pad(picture.image, (cell, cell), pad_value=PAPER)
    boxes = placement.apply(picture.boxes).astype(np.float32)
    found = Detections(
        boxes, np.ones(len(boxes), np.float32), picture.labels, tuple(names), (cell, cell)
    )
    width = max(1, cell // 240)
    drawn = draw(fitted, found, line_width=width, with_scores=False, large_tags=False)
    for flags, color in ((picture.difficult, BLACK), (picture.crowd, WHITE)):
        for box in np.clip(boxes[flags], 0, cell).tolist():
            _dash(drawn, box, color, width)
    return drawn


def choose_augmentation(names: Sequence[str], dataset: Dataset) -> Augment:
    """Build the transforms, mixers and augmentations that `dataset_sheet` applies, by name.

    Args:
        names: keys of `TRANSFORMS`, `MIXERS` or `AUGMENTATIONS`; each with its own defaults.
        dataset: where a mosaic takes its further images from.

    Raises:
        UnknownName: none of them is called so.
    """

    def draw_sample(rng: np.random.Generator) -> Sample:
        return _read_sample(dataset, int(rng.integers(len(dataset))))

    def augment(sample: Sample, rng: np.random.Generator) -> Sample:
        for name, step in steps:
            if name in AUGMENTATIONS:
                sample = step(sample, rng, draw=draw_sample)
            elif name in MIXERS:
                more = [draw_sample(rng) for _ in range(step.samples_needed - 1)]
                sample = step([sample, *more], rng)
            else:
                sample = step(sample, rng)
        return sample

    steps = [(name, create(AUGMENTATIONS | MIXERS | TRANSFORMS, name, {})) for name in names]
    return augment


def _read_sample(dataset: Dataset, index: int) -> Sample:
    image, objects = dataset.images[index], dataset.objects_of(index)
    return Sample(
        read_image(image.path),
        objects.boxes.astype(np.float32),
        objects.labels,
        objects.crowd,
        image.image_id,
    )


def _read(
    dataset: Dataset, index: int, augment: Augment | None, rng: np.random.Generator
) -> SheetImage:
    sample, path = _read_sample(dataset, index), dataset.images[index].path
    difficult = dataset.objects_of(index).difficult
    if augment is not None:
        sample = augment(sample, rng)
        # objects may have gone or come from other images, and a sample does not carry the flag
        difficult = np.zeros(len(sample.labels), np.bool_)
    return SheetImage(sample.image, sample.boxes, sample.labels, sample.crowd, difficult, path.name)


def _dash(canvas: Image, box: list[float], color: Color, width: int) -> None:
    """Draw a box with dashed lines."""
    left, top, right, bottom = int(box[0]), int(box[1]), int(np.ceil(box[2])), int(np.ceil(box[3]))
    for x in range(left, right, 2 * DASH):
        for y in (top, bottom - 1):
            cv2.line(canvas, (x, y), (min(x + DASH, right) - 1, y), color, width)
    for y in range(top, bottom, 2 * DASH):
        for x in (left, right - 1):
            cv2.line(canvas, (x, y), (x, min(y + DASH, bottom) - 1), color, width)


def _write_caption(strip: Image, picture: SheetImage, names: Sequence[str]) -> None:
    """The file name and how many objects, shortened to the width of the cell; then the classes."""
    crowd, difficult = int(picture.crowd.sum()), int(picture.difficult.sum())
    notes = [f"{len(picture.labels)}"]
    notes += [f"{crowd} crowd"] if crowd else []
    notes += [f"{difficult} difficult"] if difficult else []
    tail = f": {', '.join(notes)}"
    name = picture.caption.encode("ascii", "replace").decode()
    scale, (height, width) = 0.4, strip.shape[:2]
    while name and cv2.getTextSize(name + tail, FONT, scale, 1)[0][0] > width - 2:
        name = name[:-1]
    # the strip is a view of the sheet, which OpenCV does not write into
    written, place = np.ascontiguousarray(strip), 1
    labels, counts = np.unique(picture.labels, return_counts=True)
    texts = [(name + tail, BLACK)]
    for label in labels[np.argsort(-counts, kind="stable")].tolist():
        plain = names[label].encode("ascii", "replace").decode()
        texts.append((f"  {counts[labels == label][0]} {plain}", class_color(label)))
    for text, color in texts:
        wide = cv2.getTextSize(text, FONT, scale, 1)[0][0]
        if place + wide > width:
            break
        cv2.putText(written, text, (place, height - 5), FONT, scale, color, 1, cv2.LINE_AA)
        place += wide
    strip[...] = written
