"""EfficientDet's matcher and loss against the effdet package, by hand, by finite differences."""

import math
from types import SimpleNamespace

import pytest
import torch
from loss_batches import level_at

from scantling.errors import InvalidValue
from scantling.losses import EfficientDetLoss, EfficientDetSettings
from scantling.losses.efficientdet import encode_boxes
from scantling.specs import CATALOG
from scantling.structures import Targets

SIZE = (128, 256)
CLASSES = 4
NONE = Targets(torch.zeros(0, 4), torch.zeros(0).long(), torch.zeros(0).long())


def d0_levels():
    return CATALOG["efficientdet-d0"].levels


def random_raw(seed, *, images=2, size=SIZE, spread=1.0):
    rng = torch.Generator().manual_seed(seed)
    shapes = [(-(-size[0] // (8 << level)), -(-size[1] // (8 << level))) for level in range(5)]
    logits = [
        torch.randn(images, 9 * CLASSES, *shape, generator=rng) * 2 * spread - 3 for shape in shapes
    ]
    boxes = [torch.randn(images, 36, *shape, generator=rng) * 0.2 for shape in shapes]
    return [values.requires_grad_() for values in logits + boxes]


def random_targets(seed, *, images=2, most=6, size=SIZE):
    rng = torch.Generator().manual_seed(seed)
    count = int(torch.randint(1, most + 1, (1,), generator=rng)) * images
    extent = torch.tensor([size[1], size[0]])
    centre = torch.rand(count, 2, generator=rng) * extent
    sides = torch.rand(count, 2, generator=rng) ** 2 * extent * 0.7 + 8
    boxes = torch.cat([centre - sides / 2, centre + sides / 2], dim=1)
    image = torch.randint(0, images, (count,), generator=rng).sort().values
    return Targets(boxes, torch.randint(0, CLASSES, (count,), generator=rng), image)


def effdet_terms(raw, targets, *, label_smoothing=0.0, size=SIZE):
    """Total, class and box terms of the effdet package."""
    from effdet.anchors import AnchorLabeler, Anchors
    from effdet.loss import DetectionLoss

    anchors = Anchors(3, 7, 3, [(1.0, 1.0), (1.4, 0.7), (0.7, 1.4)], 4.0, size)
    labeler = AnchorLabeler(anchors, CLASSES)
    images = range(len(raw[0]))
    boxes = [targets.boxes[targets.image_index == image][:, [1, 0, 3, 2]] for image in images]
    # its labels begin at 1
    labels = [(targets.labels[targets.image_index == image] + 1).float() for image in images]
    found = labeler.batch_label_anchors(boxes, labels)
    config = SimpleNamespace(
        num_classes=CLASSES,
        alpha=0.25,
        gamma=1.5,
        delta=0.1,
        box_loss_weight=50.0,
        label_smoothing=label_smoothing,
        legacy_focal=False,
        jit_loss=False,
    )
    return found, DetectionLoss(config)(raw[:5], raw[5:], *found)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("seed", [seed for seed in range(13) if seed != 5])
def test_terms_and_gradients_are_effdets(seed, label_smoothing):
    # In batch 5 four anchors contain the same share of an object: its best one is a matter of
    # rounding, and effdet's overlaps are rounded otherwise.
    raw, targets = random_raw(seed), random_targets(seed)
    _, (total, classes, box) = effdet_terms(raw, targets, label_smoothing=label_smoothing)
    total.backward()
    expected = [values.grad for values in raw]
    for values in raw:
        values.grad = None
    settings = EfficientDetSettings(label_smoothing=label_smoothing)
    found = EfficientDetLoss(d0_levels(), CLASSES, settings)(raw, targets, SIZE)
    found.total.backward()
    assert found.classes.item() == pytest.approx(classes.item(), rel=1e-4)
    assert found.box.item() == pytest.approx(50 * box.item(), rel=1e-4)
    assert found.total.item() == pytest.approx(total.item(), rel=1e-4)
    assert found.objectness.item() == 0
    for values, gradient in zip(raw, expected, strict=True):
        torch.testing.assert_close(values.grad, gradient, atol=1e-5, rtol=1e-4)


# Two anchors of 16 × 16 in a row, in an image of 32 × 16.
PAIR = [level_at(((16.0, 16.0),), 16, "offset")]


def pair(box, **changes):
    raw = [torch.zeros(1, 2, 1, 2), torch.zeros(1, 4, 1, 2)]
    raw = [values.requires_grad_() for values in raw]
    targets = Targets(torch.tensor([box]), torch.tensor([1]), torch.tensor([0]))
    settings = EfficientDetSettings(**changes)
    found = EfficientDetLoss(PAIR, 2, settings)(raw, targets, (16, 32))
    found.total.backward()
    return found, raw


def test_one_object_costs_what_is_worked_out_by_hand():
    # The object is the left anchor moved by 4 pixels: IoU = 12 / 20 = .6 with it, and
    # 4 / 28 with the right one. One positive: all is divided by 2.
    found, _ = pair([4.0, 0, 20, 16])
    # σ(0) = ½ everywhere: weight ½^1.5, cross-entropy log 2; one class of α ¼, three of ¾
    expected = (0.25 + 3 * 0.75) * 0.5**1.5 * math.log(2) / 2
    assert found.classes.item() == pytest.approx(expected, rel=1e-5)
    # x should be 4 / 16 = .25, beyond δ = .1: .1 · (.25 − .05); over 4 numbers, times 50
    assert found.box.item() == pytest.approx(50 * 0.1 * 0.2 / 4 / 2, rel=1e-5)


def test_an_object_below_the_threshold_is_forced_onto_its_best_anchor():
    far = [7.0, 0, 23, 16]  # IoU = 9 / 23 = .39 with the left anchor, 7 / 25 with the right
    _, raw = pair(far)
    assert raw[1].grad[0, :, 0, 0].abs().sum() > 0
    assert raw[1].grad[0, :, 0, 1].abs().sum() == 0
    assert pair(far, force_match=False)[0].box == 0


def test_anchors_between_the_thresholds_are_ignored():
    box = [7.0, 0, 23, 16]
    raw = pair(box, force_match=False, negative_iou=0.35)[1]
    assert raw[0].grad[0, :, 0, 0].abs().sum() == 0  # .39 is between .35 and .5
    assert raw[0].grad[0, :, 0, 1].abs().sum() > 0
    with pytest.raises(InvalidValue, match="at most positive_iou"):
        EfficientDetSettings(negative_iou=0.6)


def test_an_object_that_overlaps_no_anchor_is_not_forced_onto_one():
    assert pair([40.0, 0, 50, 16])[0].box == 0


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        # IoU .6; the hull is 20 × 16, all of it covered: GIoU .6; centres are 4 apart, the hull's
        # diagonal² is 656: 16 / 656; the shapes are equal. Divided by 2, gain 1.
        ("iou", 0.4 / 2),
        ("giou", 0.4 / 2),
        ("diou", (0.4 + 16 / 656) / 2),
        ("ciou", (0.4 + 16 / 656) / 2),
        ("mse", 0.25**2 / 2 / 4 / 2),
    ],
)
def test_every_box_loss_is_worked_out_by_hand(kind, expected):
    found, raw = pair([4.0, 0, 20, 16], box_loss=kind, box_gain=1.0)
    assert found.box.item() == pytest.approx(expected, rel=1e-5)
    assert raw[1].grad.abs().sum() > 0


def test_background_alone_is_divided_by_one():
    raw = [torch.zeros(1, 2, 1, 2), torch.zeros(1, 4, 1, 2)]
    found = EfficientDetLoss(PAIR, 2)(raw, NONE, (16, 32))
    assert found.classes.item() == pytest.approx(4 * 0.75 * 0.5**1.5 * math.log(2), rel=1e-5)
    assert found.box == 0


def test_focal_loss_makes_less_of_what_is_right():
    raw, targets = random_raw(1), random_targets(1)

    def classes(gamma):
        settings = EfficientDetSettings(focal_gamma=gamma)
        return EfficientDetLoss(d0_levels(), CLASSES, settings)(raw, targets, SIZE).classes

    assert classes(2.0) < classes(1.5) < classes(0.0)


def test_hard_negatives_leave_out_the_easy_ones():
    raw = random_raw(7, images=1)
    targets = Targets(torch.tensor([[40.0, 30, 90, 100]]), torch.tensor([2]), torch.tensor([0]))

    def taught(**changes):
        for values in raw:
            values.grad = None
        loss = EfficientDetLoss(d0_levels(), CLASSES, EfficientDetSettings(**changes))
        loss(raw, targets, SIZE).classes.backward()
        rows = [values.grad.view(9, CLASSES, -1).abs().sum(1) for values in raw[:5]]
        return sum(int((level > 0).sum()) for level in rows)

    every = taught()
    mined = taught(hard_negatives=3.0)
    assert every == 9 * sum(values.shape[2] * values.shape[3] for values in raw[:5])
    assert mined % 4 == 0  # positives, and three negatives for each
    assert 0 < mined < every


def test_gradients_are_those_of_finite_differences():
    loss = EfficientDetLoss(PAIR, 2, EfficientDetSettings(label_smoothing=0.1))
    targets = Targets(torch.tensor([[3.0, 1, 22, 15]]), torch.tensor([1]), torch.tensor([0]))
    rng = torch.Generator().manual_seed(0)
    raw = [
        torch.randn(1, channels, 1, 2, generator=rng, dtype=torch.float64, requires_grad=True)
        for channels in (2, 4)
    ]
    assert torch.autograd.gradcheck(lambda *values: loss(values, targets, (16, 32)).total, raw)


def test_encoded_boxes_decode_to_themselves():
    from scantling.heads.efficientdet_decoding import decode_offsets

    rng = torch.Generator().manual_seed(0)
    anchors = torch.rand(5, 4, generator=rng) * 50 + 10
    low = torch.rand(2, 5, 2, generator=rng) * 40
    boxes = torch.cat([low, low + torch.rand(2, 5, 2, generator=rng) * 40 + 2], dim=-1)
    torch.testing.assert_close(decode_offsets(encode_boxes(boxes, anchors), anchors), boxes)
