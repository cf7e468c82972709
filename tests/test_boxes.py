"""Box geometry against hand-computed values, finite differences and an outside implementation."""

import math

import numpy as np
import pytest
import torch

from scantling.boxes import (
    area,
    clip,
    complete_iou,
    cxcywh_to_xyxy,
    distance_iou,
    generalized_iou,
    iou,
    pairwise_iou,
    xyxy_to_cxcywh,
)

FAMILY = [iou, generalized_iou, distance_iou, complete_iou]
BOTH = [np.array, torch.tensor]  # each formula serves both libraries


def random_boxes(count: int, *, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(-20, 20, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(1, 60, (count, 2))], axis=1)


@pytest.mark.parametrize("make", BOTH)
def test_area_is_zero_where_a_side_is_zero_or_negative(make):
    boxes = make([[0.0, 0, 2, 3], [1, 1, 1, 5], [5, 5, 1, 1]])
    assert area(boxes).tolist() == [6, 0, 0]


@pytest.mark.parametrize("make", BOTH)
def test_pairwise_iou_compares_every_box_with_every_other(make):
    a = make([[0.0, 0, 2, 2], [0, 0, 1, 1]])
    b = make([[1.0, 0, 3, 2], [0, 0, 2, 2], [5, 5, 6, 6]])
    assert pairwise_iou(a, b).tolist() == pytest.approx(np.array([[1 / 3, 1, 0], [0, 1 / 4, 0]]))


def test_pairwise_iou_equals_supervisions():
    import supervision

    a, b = random_boxes(40, seed=0), random_boxes(50, seed=1)
    expected = supervision.box_iou_batch(a, b)
    assert (expected > 0).sum() > 300
    np.testing.assert_allclose(pairwise_iou(a, b), expected, atol=1e-6)


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("function", FAMILY)
def test_equal_boxes_have_one(function, make):
    boxes = make([[0.0, 0, 2, 2], [-3.5, 1, 7, 90]])
    assert function(boxes, boxes).tolist() == [1, 1]


@pytest.mark.parametrize("make", BOTH)
def test_boxes_without_area_overlap_nothing(make):
    empty = make([[0.0, 0, 0, 0], [1, 1, 1, 3], [3, 3, 1, 1], [math.nan, 0, 2, 2]])
    assert iou(empty, make([0.0, 0, 4, 4])).tolist() == [0, 0, 0, 0]
    assert iou(empty, empty).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("make", BOTH)
def test_generalized_iou_of_disjoint_boxes_counts_the_gap_between_them(make):
    a, b = make([[0.0, 0, 1, 1]]), make([[3.0, 0, 4, 1]])
    assert generalized_iou(a, b).tolist() == [-0.5]  # 2 of the 4 enclosed are in neither


@pytest.mark.parametrize("make", BOTH)
def test_distance_iou_takes_off_the_distance_of_the_centres(make):
    a, b = make([[0.0, 0, 1, 1]]), make([[3.0, 0, 4, 1]])
    assert distance_iou(a, b).tolist() == pytest.approx([-9 / 17])
    assert distance_iou(a, b, beta=0.6).tolist() == pytest.approx([-((9 / 17) ** 0.6)])


@pytest.mark.parametrize("make", BOTH)
def test_complete_iou_takes_off_the_difference_in_shape(make):
    a, b = make([[0.0, 0, 2, 1]]), make([[0.0, 0, 1, 2]])
    shape = 4 / math.pi**2 * (math.atan(2) - math.atan(1 / 2)) ** 2
    weight = shape / (1 - 1 / 3 + shape)
    expected = 1 / 3 - 0.5 / 8 - weight * shape
    assert complete_iou(a, b).tolist() == pytest.approx([expected])


@pytest.mark.parametrize("function", [*FAMILY, pairwise_iou])
def test_arrays_and_tensors_have_the_same_numbers(function):
    a, b = (random_boxes(200, seed=seed).astype(np.float32) for seed in (2, 3))
    ours = function(a, b)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(
        ours, function(torch.from_numpy(a), torch.from_numpy(b)).numpy(), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("function", [iou, generalized_iou, distance_iou])
def test_gradient_equals_finite_differences(function):
    a, b = (torch.from_numpy(random_boxes(60, seed=seed)) for seed in (4, 5))
    assert (iou(a, b) > 0).sum() > 10
    assert (iou(a, b) == 0).sum() > 10
    assert torch.autograd.gradcheck(function, (a.requires_grad_(), b.requires_grad_()))


def test_gradient_of_complete_iou_holds_the_weight_of_the_shape_constant():
    a, b = random_boxes(60, seed=6), random_boxes(60, seed=7)

    def shape(a: np.ndarray) -> np.ndarray:
        angles = [np.arctan2(x[:, 2] - x[:, 0], x[:, 3] - x[:, 1]) for x in (a, b)]
        return 4 / math.pi**2 * (angles[0] - angles[1]) ** 2

    weight = shape(a) / (1 - iou(a, b) + shape(a))
    expected = np.empty_like(a)
    for column, step in enumerate(1e-6 * np.eye(4)):
        above, below = (
            distance_iou(near, b) - weight * shape(near) for near in (a + step, a - step)
        )
        expected[:, column] = (above - below) / 2e-6

    predicted = torch.from_numpy(a).requires_grad_()
    complete_iou(predicted, torch.from_numpy(b)).sum().backward()
    np.testing.assert_allclose(predicted.grad.numpy(), expected, atol=1e-7)


@pytest.mark.parametrize("function", FAMILY)
@pytest.mark.parametrize("other", [[0.0, 0, 0, 0], [0.0, 0, 2, 2], [1.0, 1, 1, 1]])
def test_gradient_is_finite_for_boxes_without_area(function, other):
    point = torch.zeros(1, 4, requires_grad=True)
    function(point, torch.tensor([other])).sum().backward()
    assert point.grad.isfinite().all()


@pytest.mark.parametrize("make", BOTH)
def test_conversions_give_the_forms_by_hand_and_back(make):
    corners = make([[1.0, 2, 5, 10]])
    assert xyxy_to_cxcywh(corners).tolist() == [[3, 6, 4, 8]]
    assert cxcywh_to_xyxy(make([[3.0, 6, 4, 8]])).tolist() == corners.tolist()


@pytest.mark.parametrize("make", BOTH)
def test_clip_cuts_boxes_off_at_the_edge_of_the_image(make):
    boxes = make([[-1.0, -1, 50, 50], [1, 2, 3, 4], [40, -9, 60, -5]])
    expected = [[0, 0, 20, 10], [1, 2, 3, 4], [20, 0, 20, 0]]
    assert clip(boxes, (10, 20)).tolist() == expected
