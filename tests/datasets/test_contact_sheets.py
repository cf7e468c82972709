"""Contact sheets: every image in its place, its boxes on it, its flags to be seen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labelled import make_dataset, write_picture
from scantling.augment import AUGMENTATIONS, MIXERS, TRANSFORMS
from scantling.datasets.contact_sheets import (
    CAPTION,
    GAP,
    SheetImage,
    choose_augmentation,
    choose_images,
    contact_sheet,
    dataset_sheet,
    draw_picture,
)
from scantling.datasets.dataset import Dataset
from scantling.errors import InvalidSource, InvalidValue, UnknownName
from scantling.reports.drawing import class_color
from scantling.structures import Sample

CELL = 100


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Five square images, each of a grey of its own, and a cat in every second one."""
    files = tuple(f"{number}.png" for number in range(5))
    rows = [(place, place % 2, [20, 20, 60, 60]) for place in range(5)]
    made = make_dataset(tmp_path, rows, files=files, size=(CELL, CELL), names=("cat", "dog"))
    for number, file in enumerate(files):
        write_picture(tmp_path / file, (CELL, CELL), grey=20 + 40 * number)
    return made


def corner_of(sheet, row: int, column: int) -> int:
    """The grey in the middle of the lower edge of a cell, where no box is."""
    y = GAP + row * (CELL + CAPTION + GAP) + CELL - 10
    return int(sheet[y, GAP + column * (CELL + GAP) + CELL // 2, 0])


def test_images_stand_row_by_row_in_the_order_of_the_data_set(dataset: Dataset):
    sheet = dataset_sheet(dataset, count=9, rng=np.random.default_rng(0), columns=2, cell=CELL)
    assert sheet.shape == (3 * (CELL + CAPTION + GAP) + GAP, 2 * (CELL + GAP) + GAP, 3)
    greys = [corner_of(sheet, place // 2, place % 2) for place in range(6)]
    assert greys == [20, 60, 100, 140, 180, 245]


def test_a_box_is_drawn_where_it_lies_in_the_colour_of_its_class(dataset: Dataset):
    sheet = dataset_sheet(dataset, count=5, rng=np.random.default_rng(0), columns=5, cell=CELL)
    for place in range(5):
        cell = sheet[GAP : GAP + CELL, GAP + place * (CELL + GAP) :][:, :CELL]
        assert tuple(cell[59, 40].tolist()) == class_color(place % 2)  # the lower edge
        assert tuple(cell[40, 20].tolist()) == class_color(place % 2)
        assert cell[40, 40, 0] == 20 + 40 * place


def test_the_same_seed_chooses_the_same_images_and_classes_choose_by_name(dataset: Dataset):
    first, again = (choose_images(dataset, count=2, rng=np.random.default_rng(7)) for _ in "ab")
    assert first.tolist() == again.tolist()
    dogs = choose_images(dataset, count=9, rng=np.random.default_rng(0), names=["dog"])
    assert dogs.tolist() == [1, 3]
    with pytest.raises(UnknownName, match="'dog'"):
        choose_images(dataset, count=9, rng=np.random.default_rng(0), names=["dgo"])
    only_cats = replace(dataset, objects=dataset.objects.take(dataset.objects.labels == 0))
    with pytest.raises(InvalidValue, match="dog"):
        dataset_sheet(only_cats, rng=np.random.default_rng(0), names=["dog"])


def test_crowd_is_dashed_in_white_and_difficult_in_black():
    image = np.full((200, 200, 3), 90, np.uint8)
    boxes = np.array([[20, 20, 90, 90], [110, 20, 180, 90], [20, 110, 90, 180]], np.float32)
    picture = SheetImage(
        image,
        boxes,
        np.zeros(3, np.int64),
        np.array([True, False, False]),
        np.array([False, True, False]),
        "x.png",
    )
    drawn = draw_picture(picture, ("cat",), cell=200)
    own = class_color(0)
    # the lower edges, without the right corner, which the other edge may have drawn over
    edges = [drawn[89, 20:85], drawn[89, 110:175], drawn[179, 20:85]]
    colors = [{tuple(pixel) for pixel in edge.tolist()} for edge in edges]
    assert colors == [{own, (255, 255, 255)}, {own, (0, 0, 0)}, {own}]


def test_the_caption_names_the_file_and_fits_into_its_cell():
    picture = SheetImage(
        np.zeros((50, 50, 3), np.uint8),
        np.empty((0, 4), np.float32),
        np.empty(0, np.int64),
        np.empty(0, np.bool_),
        np.empty(0, np.bool_),
        "a-very-long-name" * 20 + ".jpg",
    )
    sheet = contact_sheet([picture], ("cat",), count=1, cell=CELL)
    strip = sheet[GAP + CELL : GAP + CELL + CAPTION]
    assert strip[:, GAP : GAP + CELL].min() < 100
    assert (strip[:, GAP + CELL :] == 245).all()
    assert (sheet[GAP + CELL + CAPTION :] == 245).all()


def test_augmentation_is_shown(dataset: Dataset):
    def flip(sample: Sample, rng: np.random.Generator) -> Sample:
        boxes = CELL - sample.boxes[:, [2, 1, 0, 3]]
        boxes[:, [1, 3]] = sample.boxes[:, [1, 3]]
        return replace(sample, image=sample.image[:, ::-1].copy(), boxes=boxes)

    one = dataset_sheet(
        dataset, count=1, rng=np.random.default_rng(0), names=["dog"], cell=CELL, augment=flip
    )
    assert tuple(one[GAP + 59, GAP + 60].tolist()) == class_color(1)
    assert tuple(one[GAP + 59, GAP + 30].tolist()) != class_color(1)


def test_a_sheet_larger_than_any_screen_is_refused_and_an_unreadable_image_named(
    dataset: Dataset, tmp_path: Path
):
    with pytest.raises(InvalidValue, match="fewer images"):
        dataset_sheet(dataset, count=5, rng=np.random.default_rng(0), cell=20_000)
    (tmp_path / "3.png").write_bytes(b"no picture")
    with pytest.raises(InvalidSource, match=r"3\.png"):
        dataset_sheet(dataset, count=5, rng=np.random.default_rng(0))


@pytest.mark.parametrize("name", [*TRANSFORMS, *MIXERS, *AUGMENTATIONS])
def test_every_transform_mixer_and_augmentation_can_be_shown(name: str, dataset: Dataset):
    sheet = dataset_sheet(
        dataset,
        count=2,
        rng=np.random.default_rng(3),
        cell=CELL,
        augment=choose_augmentation([name], dataset),
    )
    assert sheet.shape[1] == 2 * (CELL + GAP) + GAP
    with pytest.raises(UnknownName, match="horizontal-flip"):
        choose_augmentation(["horizontal-flop"], dataset)


def test_a_caption_counts_the_classes_in_their_colours(tmp_path: Path):
    rows = [(0, 1, [5, 5, 60, 60]), (0, 1, [10, 10, 40, 40]), (0, 0, [20, 20, 50, 50])]
    data = make_dataset(tmp_path, rows, files=("a.png",))
    sheet = dataset_sheet(data, count=1, rng=np.random.default_rng(0), cell=240)
    caption = sheet[-24:].reshape(-1, 3)
    for label in (0, 1):
        near = np.abs(caption.astype(int) - class_color(label)).max(axis=1) < 60
        assert near.any(), label
