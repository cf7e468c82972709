"""Darknet's rule: its gradients are those of plain loops that write darknet's deltas."""

import math

import numpy as np
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
from loss_reference import darknet_gradients

from scantling.errors import InvalidValue
from scantling.losses import DarknetLoss, DarknetSettings, class_weights_of
from scantling.structures import Targets

ONE_ANCHOR = [level_at(((16.0, 16.0),), 16, "exponential", 1.0)]
BASE = DarknetSettings(match_threshold=0.3, ignore_threshold=0.4)


def targets_of(*boxes, labels=None, images=None):
    count = len(boxes)
    return Targets(
        torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
        torch.tensor(labels or [0] * count),
        torch.tensor(images or [0] * count),
    )


def gradients(loss, raw, targets, size=SIZE):
    for values in raw:
        values.grad = None
    terms = loss(raw, targets, size)
    terms.total.backward()
    return terms, [values.grad for values in raw]


def check_against_loops(settings, coding, scale_xy, seed, *, crowded):
    levels = yolo_levels(coding, scale_xy)
    targets = random_targets(seed, crowded=crowded)
    # predictions near the anchors, with sure classes, so that many are near an object
    raw = random_raw(seed, levels, spread=0.7, dtype=torch.float64)
    _, found = gradients(DarknetLoss(levels, 3, settings), raw, targets)
    expected = darknet_gradients(
        in_anchors(raw, levels), as_dicts(levels), settings, as_truths(targets, 2), SIZE, 3
    )
    for mine, reference in zip(found, expected, strict=True):
        np.testing.assert_allclose(
            2 * mine.numpy().reshape(reference.shape), reference, atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("box_loss", ["mse", "iou", "giou", "diou", "ciou"])
@pytest.mark.parametrize(("coding", "scale_xy"), [("exponential", 1.05), ("sigmoid", 2.0)])
def test_gradients_are_darknets_deltas(coding, scale_xy, box_loss, seed):
    check_against_loops(
        BASE.replace(box_loss=box_loss), coding, scale_xy, seed, crowded=seed % 2 == 0
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"match_threshold": 1.0},
        {"smooth_objectness": True},
        {"max_delta": 0.05},
        {"label_smoothing": 0.1},
        {"focal": True},
        {"class_weights": (1.0, 2.0, 3.5)},
        {"objectness_gain": 0.4, "class_gain": 0.5, "box_gain": 0.2},
        {"other_anchors": ((20.0, 20.0),)},
    ],
    ids=lambda changes: next(iter(changes)),
)
@pytest.mark.parametrize("coding", ["exponential", "sigmoid"])
def test_gradients_are_darknets_deltas_with_every_switch(coding, changes):
    for seed in range(10, 14):
        check_against_loops(BASE.replace(**changes), coding, 1.2, seed, crowded=seed % 2 == 0)


def test_one_object_costs_what_is_worked_out_by_hand():
    # A 16 × 16 anchor on a grid of 1 × 1, all raw values 0: the prediction is centred at (8, 8),
    # 16 × 16. The object is 8 × 16 at the same centre: IoU = 128 / 256 = 1/2.
    raw = [torch.zeros(1, 7, 1, 1, requires_grad=True)]
    settings = DarknetSettings(box_loss="iou", box_gain=1.0, match_threshold=1.0)
    targets = targets_of([4, 0, 12, 16], labels=[1])
    terms, (gradient,) = gradients(DarknetLoss(ONE_ANCHOR, 2, settings), raw, targets, (16, 16))
    assert terms.box.item() == pytest.approx(1 - 0.5)
    # σ(0) = 1/2 everywhere: −log ½ for objectness, and for each of two classes
    assert terms.objectness.item() == pytest.approx(math.log(2))
    assert terms.classes.item() == pytest.approx(2 * math.log(2))
    assert terms.total.item() == pytest.approx(0.5 + 3 * math.log(2))
    # In shares of the image the prediction is 1 wide, the object 1/2: IoU = (1/2) / w, its slope
    # −1/2 at w = 1. Narrower is better. Height: I and U both grow to h = 1; from there only U.
    assert gradient.flatten()[2].item() == pytest.approx(0.5)
    # objectness and the object's class should rise by ½, the other class fall by ½
    assert gradient.flatten()[4:].tolist() == pytest.approx([-0.5, 0.5, -0.5])


def test_squared_errors_weigh_small_objects_more():
    # t = 0: x and y are ½ of a cell as they should be; w and h should be log ½ of the anchor's.
    # The object is ½ × ½ of the image: 2 − ¼ = 1.75; ½ · 1.75 · 2 · log² 2.
    raw = [torch.zeros(1, 6, 1, 1, requires_grad=True)]
    settings = DarknetSettings(box_loss="mse", box_gain=1.0)
    terms, (gradient,) = gradients(
        DarknetLoss(ONE_ANCHOR, 1, settings), raw, targets_of([4, 4, 12, 12]), (16, 16)
    )
    assert terms.box.item() == pytest.approx(1.75 * math.log(2) ** 2)
    assert gradient.flatten()[2].item() == pytest.approx(1.75 * math.log(2))


def positives(settings, box):
    """Objectness gradients below 0, per level, of a network that says 0."""
    levels = yolo_levels("exponential", 1.0)
    raw = [
        torch.zeros(1, 2 * 6, SIZE[0] // level.stride, SIZE[1] // level.stride, requires_grad=True)
        for level in levels
    ]
    _, found = gradients(DarknetLoss(levels, 1, settings), raw, targets_of(box))
    return [
        [tuple(place) for place in (grad.view(2, 6, *grad.shape[2:])[:, 4] < 0).nonzero().tolist()]
        for grad in found
    ]


def test_the_best_anchor_of_all_levels_gets_the_object_at_the_cell_of_its_centre():
    # 12 × 16 around (40, 56): anchor 0 of stride 16, column 2, row 3
    assert positives(BASE.replace(match_threshold=1.0), [34, 48, 46, 64]) == [[(0, 3, 2)], []]


def test_an_anchor_of_two_levels_gets_the_object_in_both():
    # 30 × 25 around (64, 48): row 3 and column 4 of stride 16, row 1 and column 2 of stride 32
    found = positives(BASE.replace(match_threshold=1.0), [49, 35.5, 79, 60.5])
    assert found == [[(1, 3, 4)], [(0, 1, 2)]]


def test_every_anchor_above_the_threshold_gets_the_object():
    # 20 × 20 = 400: shape IoU with 12 × 16 is 192 / 400 = .48, with 30 × 25 is 400 / 750 = .53,
    # with 60 × 70 is 400 / 4200 = .10
    box = [30, 40, 50, 60]
    assert positives(BASE.replace(match_threshold=0.5), box) == [[(1, 3, 2)], [(0, 1, 1)]]
    both = [[(0, 3, 2), (1, 3, 2)], [(0, 1, 1)]]
    assert positives(BASE.replace(match_threshold=0.45), box) == both


def test_an_object_that_another_anchor_fits_best_is_nobodys():
    settings = BASE.replace(match_threshold=1.0, other_anchors=((20.0, 20.0),))
    assert positives(settings, [30, 40, 50, 60]) == [[], []]


def test_predictions_near_an_object_are_not_taught_background_once_a_class_is_sure():
    # The object is the whole of the second cell's prediction, but belongs to the first cell's
    # anchor; 1 × 2 cells of 16 pixels, two anchors, so that the other anchor overlaps by 1/2.
    levels = [level_at(((16.0, 16.0), (16.0, 32.0)), 16, "exponential", 1.0)]
    targets = targets_of([0, 0, 16, 16])
    loss = DarknetLoss(levels, 1, DarknetSettings(ignore_threshold=0.4, match_threshold=1.0))

    def second_anchor(class_logit, loss=loss):
        raw = torch.zeros(1, 2, 6, 1, 1)
        raw[:, :, 5] = class_logit
        raw = [raw.flatten(1, 2).requires_grad_()]
        return gradients(loss, raw, targets, (16, 16))[1][0].flatten()[10].item()

    assert second_anchor(0.0) == 0  # σ = .5 is sure enough, IoU = 256 / 512 = ½ > .4
    assert second_anchor(-2.0) == pytest.approx(0.5)  # σ = .12 is not
    stricter = DarknetLoss(levels, 1, DarknetSettings(ignore_threshold=0.6, match_threshold=1.0))
    assert second_anchor(0.0, stricter) == pytest.approx(0.5)
    # with smooth objectness its target is the overlap, ½, which σ(0) is already
    smooth = loss.settings.replace(smooth_objectness=True)
    assert second_anchor(0.0, DarknetLoss(levels, 1, smooth)) == pytest.approx(0, abs=1e-6)


def test_hard_negatives_leave_out_the_easy_ones():
    levels = yolo_levels("exponential", 1.0)
    raw = random_raw(3, levels, images=1)
    settings = BASE.replace(hard_negatives=3.0, ignore_threshold=1.0, match_threshold=1.0)
    targets = targets_of([34, 48, 46, 64])
    _, found = gradients(DarknetLoss(levels, 3, settings), raw, targets)
    taught = torch.cat([grad.view(2, 8, -1)[:, 4].flatten() for grad in found])
    logits = torch.cat([values.detach().view(2, 8, -1)[:, 4].flatten() for values in raw])
    assert (taught < 0).sum() == 1
    assert (taught > 0).sum() == 3
    negatives = logits[taught >= 0]
    assert logits[taught > 0].min() == negatives.sort(descending=True).values[2]


def test_gains_may_differ_between_levels():
    levels = yolo_levels("sigmoid", 2.0)
    raw, targets = random_raw(5, levels), random_targets(5)
    _, plain = gradients(DarknetLoss(levels, 3, BASE), raw, targets)
    _, found = gradients(DarknetLoss(levels, 3, BASE.replace(gain=(2.0, 0.5))), raw, targets)
    torch.testing.assert_close(found[0], 2 * plain[0])
    torch.testing.assert_close(found[1], 0.5 * plain[1])
    with pytest.raises(InvalidValue, match="2, one a level"):
        DarknetLoss(levels, 3, BASE.replace(gain=(1.0, 1.0, 1.0)))


def test_class_weights_grow_with_rarity_up_to_a_limit():
    # as often as the most frequent: 1; half as often: 2; never counts as once, cut off at 20
    assert class_weights_of((100, 50, 0), max_weight=20) == (1.0, 2.0, 20.0)
    with pytest.raises(InvalidValue, match="3 numbers"):
        DarknetLoss(ONE_ANCHOR, 3, DarknetSettings(class_weights=(1.0, 2.0)))
