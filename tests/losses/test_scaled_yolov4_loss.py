"""Scaled-YOLOv4's rule against plain loops, hand-computed cases and finite differences."""

import math

import pytest
import torch
from loss_batches import (
    SIZE,
    as_dicts,
    as_truths,
    in_anchors,
    level_at,
    random_raw,
    random_targets,
    yolo_levels,
)
from loss_reference import scaled_terms

from scantling.errors import InvalidValue
from scantling.losses import ScaledYolov4Loss, ScaledYolov4Settings
from scantling.losses.scaled_yolov4 import BALANCE
from scantling.structures import Targets

BASE = ScaledYolov4Settings(gain=1.0)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"box_loss": "iou"},
        {"box_loss": "giou"},
        {"box_loss": "diou"},
        {"label_smoothing": 0.2},
        {"class_positive_weight": 1.7, "objectness_positive_weight": 0.6},
        {"anchor_ratio": 2.0, "offset": 0.3, "iou_share": 0.5},
    ],
    ids=lambda changes: next(iter(changes), "published"),
)
def test_terms_are_those_of_plain_loops(changes, seed):
    coding, scale = ("sigmoid", 2.0) if seed % 2 else ("exponential", 1.05)
    levels = yolo_levels(coding, scale)
    settings = BASE.replace(**changes)
    raw = random_raw(seed, levels, dtype=torch.float64)
    targets = random_targets(seed, crowded=seed % 3 == 0)
    found = ScaledYolov4Loss(levels, 3, settings)(raw, targets, SIZE)
    expected = scaled_terms(
        in_anchors(raw, levels),
        as_dicts(levels),
        settings,
        as_truths(targets, 2),
        SIZE,
        3,
        BALANCE[2],
    )
    terms = [found.box.item(), found.objectness.item(), found.classes.item()]
    assert terms == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert found.total.item() == pytest.approx(sum(expected), rel=1e-5)


def test_one_object_costs_what_is_worked_out_by_hand():
    # One cell of 16 pixels, all raw values 0: the centre is at 2 · ½ − ½ = ½, the size 1² · 16.
    # The object is 8 × 8 in the middle: IoU = 64 / 256 = ¼; same centre and shape, so CIoU too.
    levels = [level_at(((16.0, 16.0),), 16, "sigmoid", 2.0)]
    raw = [torch.zeros(1, 7, 1, 1)]
    targets = Targets(torch.tensor([[4.0, 4, 12, 12]]), torch.tensor([1]), torch.tensor([0]))
    settings = ScaledYolov4Settings(gain=64.0, box_gain=0.05, objectness_gain=1, class_gain=0.5)
    found = ScaledYolov4Loss(levels, 2, settings)(raw, targets, (16, 16))
    # one level: every gain × 3; classes × 2 / 80
    assert found.box.item() == pytest.approx(64 * 3 * 0.05 * 0.75)
    # binary cross-entropy at ½ is log 2 whatever the target
    assert found.objectness.item() == pytest.approx(64 * 3 * math.log(2), rel=1e-5)
    assert found.classes.item() == pytest.approx(64 * 3 * 0.5 * 2 / 80 * math.log(2), rel=1e-5)


def taught(box, *, side=64, anchor=(16.0, 16.0), **changes):
    """(row, column) of the cells whose box learns from one object on a grid of 16 pixel cells."""
    raw = torch.zeros(1, 6, side // 16, side // 16, requires_grad=True)
    loss = ScaledYolov4Loss([level_at((anchor,), 16, "sigmoid", 2.0)], 1, BASE.replace(**changes))
    targets = Targets(torch.tensor([box]), torch.tensor([0]), torch.tensor([0]))
    loss([raw], targets, (side, side)).box.backward()
    return sorted(tuple(place) for place in raw.grad[0, :4].abs().sum(0).nonzero().tolist())


def test_cells_that_a_centre_is_near_to_learn_it_too():
    # centre (36, 40): x = 2.25 cells is near the cell before, y = 2.5 near neither
    assert taught([30.0, 34, 42, 46]) == [(2, 1), (2, 2)]
    # centre (44, 44) = 2.75 cells: the next column and the next row
    assert taught([38.0, 38, 50, 50]) == [(2, 2), (2, 3), (3, 2)]
    assert taught([38.0, 38, 50, 50], offset=0.2) == [(2, 2)]
    # centre (4, 60): 0.25 and 3.75 cells: no cell lies beyond the edge
    assert taught([0.0, 56, 8, 64]) == [(3, 0)]


def test_an_anchor_learns_objects_up_to_four_times_its_size():
    centre = [36.0, 40.0]
    box = [centre[0] - 31.9, centre[1] - 8, centre[0] + 31.9, centre[1] + 8]  # 63.8 wide: 3.99 ×
    assert taught(box)
    box = [centre[0] - 32.1, centre[1] - 8, centre[0] + 32.1, centre[1] + 8]
    assert not taught(box)
    assert taught(box, anchor_ratio=5.0)
    assert not taught([34.1, 38.1, 37.9, 41.9])  # 3.8 pixels are less than a quarter


def test_two_objects_of_one_prediction_leave_the_larger_overlap_as_objectness():
    levels = [level_at(((16.0, 16.0),), 16, "sigmoid", 2.0)]
    boxes = [[0.0, 0, 16, 16], [4.0, 4, 12, 12]]  # overlaps of 1 and ¼ with the prediction
    for order in ([0, 1], [1, 0]):
        targets = Targets(
            torch.tensor([boxes[i] for i in order]), torch.tensor([0, 0]), torch.tensor([0, 0])
        )
        raw = torch.zeros(1, 6, 1, 1, requires_grad=True)
        ScaledYolov4Loss(levels, 1, BASE)([raw], targets, (16, 16)).objectness.backward()
        assert raw.grad.flatten()[4].item() == pytest.approx(3 * (0.5 - 1))


@pytest.mark.parametrize("coding", ["sigmoid", "exponential"])
@pytest.mark.parametrize(
    "changes", [{"box_loss": "giou"}, {"box_loss": "mse"}, {"focal_gamma": 1.5}], ids=str
)
def test_gradients_are_those_of_finite_differences(coding, changes):
    levels = yolo_levels(coding, 2.0)[1:]
    # objectness targets hold the detached overlap: with iou_share 0 nothing is detached
    settings = BASE.replace(iou_share=0.0, **{"box_loss": "iou", **changes})
    loss = ScaledYolov4Loss(levels, 2, settings)
    targets = random_targets(4, classes=2, most=2)
    (raw,) = random_raw(4, levels, classes=2, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda values: loss([values], targets, SIZE).total, (raw,), atol=1e-6, fast_mode=True
    )


def test_focal_loss_makes_less_of_what_is_right():
    levels = yolo_levels("sigmoid", 2.0)
    raw, targets = random_raw(2, levels), random_targets(2)
    plain = ScaledYolov4Loss(levels, 3, BASE)(raw, targets, SIZE)
    focal = ScaledYolov4Loss(levels, 3, BASE.replace(focal_gamma=1.5))(raw, targets, SIZE)
    assert focal.objectness < plain.objectness
    assert focal.box == plain.box


def test_hard_negatives_leave_out_the_easy_ones():
    levels = yolo_levels("sigmoid", 2.0)
    raw = random_raw(3, levels)
    loss = ScaledYolov4Loss(levels, 3, BASE.replace(hard_negatives=2.0))
    boxes = torch.tensor([[10.0, 10, 22, 26], [50, 40, 80, 65]])
    targets = Targets(boxes, torch.tensor([0, 1]), torch.tensor([0, 0]))
    loss(raw, targets, SIZE).objectness.backward()
    every = torch.cat([values.grad.view(2, 2, 8, -1)[:, :, 4].flatten(1) for values in raw], 1)
    # the second image has no object: it keeps the two negatives of one positive
    assert (every[1] != 0).sum() == 2
    count = (every[0] != 0).sum()
    assert count % 3 == 0  # so many positives, twice as many negatives
    assert 0 < count < every.shape[1]


def test_four_levels_weigh_objectness_more():
    anchors = tuple((float(side), float(side)) for side in (10, 20))
    three = [level_at(anchors, stride, "sigmoid", 2.0) for stride in (8, 16, 32)]
    four = [*three, level_at(anchors, 64, "sigmoid", 2.0)]
    none = Targets(torch.zeros(0, 4), torch.zeros(0).long(), torch.zeros(0).long())

    def objectness(levels):
        raw = [torch.zeros(1, 12, 128 // lv.stride, 128 // lv.stride) for lv in levels]
        return ScaledYolov4Loss(levels, 1, BASE)(raw, none, (128, 128)).objectness.item()

    # every cell costs log 2: three levels 4 + 1 + .4; four 4 + 1 + .4 + .1, × 3/4 × 1.4
    assert objectness(three) == pytest.approx(5.4 * math.log(2), rel=1e-5)
    assert objectness(four) == pytest.approx(5.5 * math.log(2) * 0.75 * 1.4, rel=1e-5)
    with pytest.raises(InvalidValue, match="3 numbers"):
        ScaledYolov4Loss(three, 1, BASE.replace(level_balance=(1.0, 2.0)))
