"""What a data set is made up of, against counts by hand."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from labelled import make_dataset
from scantling.datasets.dataset import Dataset
from scantling.datasets.statistics import (
    PERCENTILES,
    ClassStatistics,
    SizeShares,
    dataset_statistics,
)
from scantling.datasets.statistics_figure import draw_statistics


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Boxes with sides of 16, 32, 96 and 20 × 80 in an image of 200 × 400; one image is empty."""
    rows = [
        (0, 0, [0, 0, 16, 16]),
        (0, 0, [10, 10, 42, 42]),
        (0, 1, [100, 50, 196, 146]),
        (1, 0, [5, 5, 25, 85]),
    ]
    made = make_dataset(
        tmp_path,
        rows,
        names=("cat", "dog", "emu"),
        files=("a.png", "b.png", "c.png"),
        size=(200, 400),
        crowd=[3],
        difficult=[1, 2],
    )
    return replace(made, images=(*made.images[:2], replace(made.images[2], size=(50, 60))))


def test_classes_images_and_flags_are_counted(dataset: Dataset):
    found = dataset_statistics(dataset)
    assert (found.images, found.empty_images, found.objects) == (3, 1, 4)
    assert (found.crowd, found.difficult) == (1, 2)
    assert found.classes == (
        ClassStatistics("cat", objects=3, images=2, crowd=1, difficult=1),
        ClassStatistics("dog", objects=1, images=1, crowd=0, difficult=1),
        ClassStatistics("emu", objects=0, images=0, crowd=0, difficult=0),
    )
    assert found.objects_per_image == (1, 1, 0, 1)
    assert found.image_sizes == (((200, 400), 2), ((50, 60), 1))


def test_sizes_are_told_in_the_image_and_on_a_letterboxed_input(dataset: Dataset):
    found = dataset_statistics(dataset, image_size=(100, 100))
    assert found.sides.tolist() == [16, 32, 96, 40]
    assert found.size_shares == SizeShares(0.25, 0.5, 0.25)  # 32 is medium, 96 is large
    assert found.input_sides.tolist() == [4, 8, 24, 10]
    assert found.input_shares == SizeShares(1.0, 0.0, 0.0)
    assert found.aspects.tolist() == [1, 1, 1, 0.25]
    assert found.percentiles(found.sides)[PERCENTILES.index(50)] == 36


def test_images_of_unknown_size_have_no_part_in_the_sizes_on_the_input(dataset: Dataset):
    images = (replace(dataset.images[0], size=None), *dataset.images[1:])
    found = dataset_statistics(replace(dataset, images=images), image_size=(100, 100))
    assert found.input_sides.tolist() == [10]
    assert len(found.sides) == 4
    assert found.image_sizes == (((200, 400), 1), ((50, 60), 1))


def test_a_split_without_objects_or_images_has_statistics_and_charts(tmp_path: Path):
    for files in ((), ("a.png",)):
        empty = make_dataset(tmp_path, [], files=files)
        found = dataset_statistics(empty, image_size=(64, 64))
        assert found.objects == 0
        assert found.empty_images == len(files)
        assert found.percentiles(found.sides) == ()
        assert draw_statistics([found])[:4] == b"\x89PNG"


def test_charts_of_several_splits_are_one_picture_whatever_the_names(dataset: Dataset):
    hostile = replace(dataset, names=("$\\frac{", "a\nb" * 50, "_x"), split="$x^$")
    data = draw_statistics(
        [dataset_statistics(one, image_size=(64, 96)) for one in (dataset, hostile)]
    )
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    height, width = picture.shape[:2]
    assert 500 < height < 3000
    assert 1000 < width < 3000
    assert picture.std() > 10
