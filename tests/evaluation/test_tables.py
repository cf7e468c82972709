"""Objects of a data set become COCO's own numbers again."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from scantling.errors import InvalidValue
from scantling.evaluation import GroundTruth
from scantling.evaluation.tables import image_order, with_sides


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.integers(0, 6))
def test_sides_of_a_file_survive_the_way_by_corners(seed: int, decimals: int):
    rng = np.random.default_rng(seed)
    boxes = np.round(rng.uniform(0, 5000, (50, 4)), decimals)
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    assert with_sides(corners).tolist() == boxes.tolist()


def test_sides_of_many_digits_are_left_as_they_come_out():
    corners = np.array([[1 / 3, 1 / 7, 200 / 3, 99 / 7]])
    assert with_sides(corners)[0, 2:].tolist() == (corners[0, 2:] - corners[0, :2]).tolist()


def test_images_are_ordered_by_number_and_then_by_name():
    assert image_order(("b", 10, 9, "a")).tolist() == [3, 1, 0, 2]


def test_columns_of_unequal_length_and_images_out_of_order_are_refused():
    none = np.zeros(2, np.bool_)
    index = np.array([1, 0])
    with pytest.raises(InvalidValue, match="out of order"):
        GroundTruth(("a",), (1,), (1, 2), np.ones((2, 4)), index * 0, index, none, none, np.ones(2))
    with pytest.raises(InvalidValue, match="2 long"):
        GroundTruth(("a",), (1,), (1, 2), np.ones((1, 4)), index * 0, index, none, none, np.ones(2))
