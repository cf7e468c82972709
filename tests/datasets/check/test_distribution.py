"""Sizes and classes against what a model can find."""

from pathlib import Path

import numpy as np
import pytest

from scantling.datasets.check import ModelLevels
from scantling.datasets.check.distribution import (
    assign_levels,
    check_classes,
    check_sizes,
    class_counts,
    input_sides,
)
from scantling.datasets.dataset import Dataset, LabelledImage, make_objects

LEVELS = ModelLevels("net", (100, 100), (8, 16, 32))


def dataset(
    boxes, labels, *, names=("a", "b"), size=(200, 400), split="train", crowd=None
) -> Dataset:
    images = (LabelledImage(Path("a.png"), 1, size, Path("a.txt")),)
    objects = make_objects(boxes, labels, [0] * len(labels), crowd=crowd)
    return Dataset(Path("set"), "yolo", split, names, (0, 1), images, objects)


@pytest.mark.parametrize(
    ("fit", "expected"), [("letterbox", [10, 20]), ("corner", [10, 20]), ("stretch", [10, 40])]
)
def test_sides_are_those_on_the_input(fit, expected):
    one = dataset([[0, 0, 40, 80]], [0])
    levels = ModelLevels("net", (100, 100), (8,), resize_mode=fit)
    np.testing.assert_allclose(input_sides(one, levels), [expected])


def test_an_object_in_an_image_of_unknown_size_has_no_sides():
    assert np.isnan(input_sides(dataset([[0, 0, 4, 8]], [0], size=None), LEVELS)).all()


def test_without_anchors_an_object_belongs_to_the_level_of_which_it_covers_four_cells():
    sides = np.array([[32.0, 32], [64, 64], [128, 128], [1, 1], [999, 999], [44, 44], [47, 47]])
    assert assign_levels(sides, LEVELS).tolist() == [0, 1, 2, 0, 2, 0, 1]


def test_with_anchors_an_object_belongs_to_the_level_of_the_most_alike():
    levels = ModelLevels("net", (100, 100), (8, 16), (((10, 10), (40, 10)), ((30, 30),)))
    sides = np.array([[9.0, 11], [45, 9], [28, 33], [20, 20]])
    assert assign_levels(sides, levels).tolist() == [0, 0, 1, 1]


def test_objects_that_are_too_small_are_told_once_a_class_at_the_smallest():
    boxes = [[0, 0, 40, 40], [0, 0, 12, 12], [50, 50, 58, 66], [0, 0, 100, 100]]
    (finding,) = check_sizes([dataset(boxes, [0, 0, 0, 1])], LEVELS)
    assert finding.code == "W503"
    assert finding.message.startswith("2 of 3 objects of class 'a' are smaller than 4 pixels")
    assert finding.message.endswith("the smallest is 2.0 × 4.0")
    assert finding.box == (50, 50, 58, 66)
    assert finding.image == Path("a.png")


def test_crowds_are_not_asked_to_be_found():
    one = dataset([[0, 0, 4, 4]], [0], crowd=[True])
    assert list(check_sizes([one], LEVELS)) == []


def test_a_level_without_objects_is_told_only_of_many_objects():
    few = dataset([[0, 0, 128, 128]] * 99, [0] * 99)
    assert list(check_sizes([few], LEVELS)) == []
    many = dataset([[0, 0, 128, 128]] * 100, [0] * 100)
    found = list(check_sizes([many], LEVELS))
    assert [(one.code, one.item) for one in found] == [("W504", "stride 16"), ("W504", "stride 32")]


def test_sizes_of_no_data_set_are_no_finding():
    assert list(check_sizes([], LEVELS)) == []


def test_counts_are_by_name_whatever_the_label():
    first = dataset([[0, 0, 9, 9]] * 3, [0, 0, 1])
    second = dataset([[0, 0, 9, 9]], [0], names=("b", "c"), split="val")
    assert class_counts([first, second]) == {"a": [2, 0], "b": [1, 1], "c": [0, 0]}
    found = [(one.code, one.item) for one in check_classes([first, second])]
    assert sorted(found) == [("W501", "c"), ("W505", "a")]


def test_a_class_is_rare_only_beyond_a_hundred_to_one():
    def found(count: int) -> list[str]:
        one = dataset([[0, 0, 9, 9]] * (count + 1), [0] * count + [1])
        return [finding.code for finding in check_classes([one])]

    assert found(100) == []
    assert found(101) == ["W502"]


def test_a_split_without_any_object_lacks_no_class():
    assert list(check_classes([dataset([], []), dataset([[0, 0, 9, 9]] * 2, [0, 1])])) == []
