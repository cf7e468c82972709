"""Every loss: one call signature, any precision, any batch, several processes; and it teaches."""

import math

import pytest
import torch
from loss_batches import level_at
from pydantic import TypeAdapter

from scantling.detector import build_detector
from scantling.errors import InvalidValue
from scantling.losses import (
    LOSSES,
    DarknetSettings,
    EfficientDetSettings,
    LossSettings,
    ScaledYolov4Settings,
    build_loss,
)
from scantling.postprocess import Selection, select
from scantling.specs import CATALOG
from scantling.structures import Targets

SETTINGS = {
    "darknet": DarknetSettings(),
    "scaled-yolov4": ScaledYolov4Settings(),
    "efficientdet": EfficientDetSettings(),
}
BOX_LOSSES = [
    (name, box_loss) for name in LOSSES for box_loss in ("mse", "iou", "giou", "diou", "ciou")
]
# How many times smaller a loss becomes in 90 steps. Scaled-YOLOv4's objectness aims at overlaps,
# whose own entropy remains.
FALLS = {"darknet": 8, "scaled-yolov4": 4, "efficientdet": 8}
CLASSES = 3
SIZE = (128, 128)


def thin(name, *, divide=8, image_size=128):
    """A variant with few channels and three classes."""

    def fewer(channels):
        return max(8, channels // divide)

    spec = CATALOG[name]
    backbone, neck, head = spec.backbone, spec.neck, spec.head
    stages = tuple(
        stage.replace(channels=fewer(stage.channels), depth=min(stage.depth, 2))
        for stage in backbone.stages
    )
    return spec.replace(
        image_size=image_size,
        num_classes=CLASSES,
        backbone=backbone.replace(stem_channels=fewer(backbone.stem_channels), stages=stages),
        neck=neck.replace(channels=tuple(fewer(width) for width in neck.channels)),
        head=head.replace(channels=head.channels and tuple(map(fewer, head.channels))),
    )


def spec_for(name):
    if name == "efficientdet":
        spec = thin("efficientdet-d0", divide=4)
        return spec.replace(neck=spec.neck.replace(depth=1), head=spec.head.replace(depth=1))
    spec = thin("yolov4-tiny")
    if name == "scaled-yolov4":  # its rule asks for centres in neighbouring cells
        head = spec.head.replace(box_coding="sigmoid", scale_xy=(2.0, 2.0))
        return spec.replace(head=head)
    return spec


def build(name, **changes):
    spec = spec_for(name)
    settings = SETTINGS[name].replace(**changes)
    return spec, build_loss(spec.levels, CLASSES, settings)


def random_raw(spec, *, images=2, seed=0, dtype=torch.float32):
    rng = torch.Generator().manual_seed(seed)
    counts = [len(group) for group in spec.head.anchors]
    per_anchor = [5 + CLASSES] if spec.head.kind == "yolo" else [CLASSES, 4]
    return [
        (torch.randn(images, count * values, 128 // stride, 128 // stride, generator=rng) - 1)
        .to(dtype)
        .requires_grad_()
        for values in per_anchor
        for count, stride in zip(counts, spec.strides, strict=True)
    ]


def targets_of(boxes, labels, images):
    return Targets(
        torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
        torch.tensor(labels, dtype=torch.int64),
        torch.tensor(images, dtype=torch.int64),
    )


TWO = targets_of([[10, 20, 50, 90], [70, 60, 110, 100], [30, 30, 100, 110]], [0, 2, 1], [0, 0, 1])
NONE = targets_of([], [], [])


def gradients(loss, raw, targets, **options):
    for values in raw:
        values.grad = None
    terms = loss(raw, targets, SIZE, **options)
    terms.total.backward()
    return terms, [torch.zeros_like(v) if v.grad is None else v.grad for v in raw]


@pytest.mark.parametrize("name", LOSSES)
def test_terms_are_finite_scalars_that_add_up_to_the_total(name):
    spec, loss = build(name)
    for targets in (TWO, NONE):
        terms, found = gradients(loss, random_raw(spec), targets)
        parts = [terms.box, terms.objectness, terms.classes]
        assert [part.shape for part in (*parts, terms.total)] == [()] * 4
        assert terms.total.item() == pytest.approx(sum(part.item() for part in parts), rel=1e-6)
        assert terms.total > 0
        assert all(torch.isfinite(gradient).all() for gradient in found)
    assert terms.box == 0  # without an object


@pytest.mark.parametrize(("name", "box_loss"), BOX_LOSSES)
def test_every_box_loss_is_its_own_and_moves_boxes(name, box_loss):
    spec, loss = build(name, box_loss=box_loss)
    raw = random_raw(spec)
    terms, found = gradients(loss, raw, TWO)
    assert all(torch.isfinite(gradient).all() for gradient in found)
    others = [
        build(name, box_loss=other)[1](raw, TWO, SIZE).box.item()
        for other in ("mse", "iou", "giou", "diou", "ciou")
        if other != box_loss
    ]
    assert terms.box.item() not in others
    for values in raw:
        values.grad = None
    loss(raw, TWO, SIZE).box.backward()
    assert sum(v.grad.abs().sum() for v in raw if v.grad is not None) > 0


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("darknet", {"focal": True}),
        ("darknet", {"smooth_objectness": True, "ignore_threshold": 0.1}),
        ("darknet", {"ignore_threshold": 0.05}),
        ("darknet", {"match_threshold": 1.0}),
        ("darknet", {"match_similarity": "ciou", "match_threshold": 0.4}),
        ("scaled-yolov4", {"focal_gamma": 1.5}),
        ("scaled-yolov4", {"iou_share": 0.5}),
        ("scaled-yolov4", {"level_balance": (1.0, 1.0)}),
        ("scaled-yolov4", {"anchor_ratio": 1.5}),
        ("scaled-yolov4", {"offset": 0.1}),
        ("efficientdet", {"focal_gamma": 2.0}),
        ("efficientdet", {"focal_alpha": 0.5}),
        ("efficientdet", {"huber_delta": 0.5}),
        ("efficientdet", {"negative_iou": 0.3}),
        *((name, {"label_smoothing": 0.1}) for name in LOSSES),
        *((name, {"hard_negatives": 3.0}) for name in LOSSES),
    ],
    ids=str,
)
def test_every_switch_changes_the_loss(name, changes):
    spec, plain = build(name)
    raw = random_raw(spec)
    _, before = gradients(plain, raw, TWO)
    _, after = gradients(build(name, **changes)[1], raw, TWO)
    assert any(not torch.allclose(b, a, rtol=1e-3) for b, a in zip(before, after, strict=True))


@pytest.mark.parametrize("coding", ["exponential", "sigmoid"])
@pytest.mark.parametrize("name", ["darknet", "scaled-yolov4"])
def test_a_centre_on_the_edge_of_its_cell_needs_no_infinite_value(name, coding):
    """Grid sensitivity: s · σ(t) − (s − 1) / 2 = 0 has a solution only for s above 1."""
    targets = targets_of([[8, 8, 24, 24]], [0], [0])  # the centre is the corner of cell (1, 1)

    def box_term(scale, centre):
        level = level_at(((16.0, 16.0),), 16, coding, scale)
        loss = build_loss([level], 1, SETTINGS[name].replace(box_loss="mse"))
        raw = torch.zeros(1, 6, 2, 2)  # at 0 the size is the anchor's in either coding
        raw[:, :2] = centre
        return loss([raw], targets, (32, 32)).box.item()

    assert box_term(1.2, math.log(0.1 / 1.1)) == pytest.approx(0, abs=1e-9)  # σ = .1 / 1.2
    assert box_term(1.0, math.log(0.1 / 1.1)) > 1e-4
    assert box_term(1.0, -6.0) > 1e-7  # and so for any finite value


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(name, dtype):
    spec, loss = build(name)
    half = random_raw(spec, dtype=dtype)
    full = [values.detach().float().requires_grad_() for values in half]
    with torch.autocast("cpu", dtype):
        terms = loss(half, TWO, SIZE)
    expected = loss(full, TWO, SIZE)
    assert terms.total.dtype == torch.float32
    assert terms.total.item() == pytest.approx(expected.total.item(), rel=1e-6)


@pytest.mark.parametrize("changes", [{}, {"hard_negatives": 2.0}], ids=str)
@pytest.mark.parametrize(("name", "box_loss"), BOX_LOSSES)
def test_no_step_waits_for_the_device(name, box_loss, changes):
    """Meta tensors hold no numbers: whatever asks for one, or for a shape that depends on one,
    fails, as it would make a GPU wait."""
    spec, loss = build(name, box_loss=box_loss, **changes)
    raw = [values.detach().to("meta").requires_grad_() for values in random_raw(spec)]
    targets = Targets(*(part.to("meta") for part in (TWO.boxes, TWO.labels, TWO.image_index)))
    loss.to("meta")(raw, targets, SIZE).total.backward()
    assert all(values.grad.shape == values.shape for values in raw)


@pytest.mark.parametrize("name", LOSSES)
def test_predictions_may_be_laid_out_with_channels_last(name):
    spec, loss = build(name)
    raw = random_raw(spec)
    _, plain = gradients(loss, raw, TWO)
    last = [v.detach().to(memory_format=torch.channels_last).requires_grad_() for v in raw]
    _, found = gradients(loss, last, TWO)
    for one, other in zip(plain, found, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("name", LOSSES)
def test_the_value_is_the_same_where_no_gradient_is_wanted(name):
    spec, loss = build(name)
    raw = random_raw(spec)
    expected = loss(raw, TWO, SIZE).total
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            torch.testing.assert_close(loss(raw, TWO, SIZE).total, expected.detach())


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_scale_with_the_loss(name):
    spec, loss = build(name, **({"max_delta": 0.01} if name == "darknet" else {}))
    raw = random_raw(spec)
    _, plain = gradients(loss, raw, TWO)
    for values in raw:
        values.grad = None
    (loss(raw, TWO, SIZE).total * 1024).backward()  # as a gradient scaler for float16 does
    for values, gradient in zip(raw, plain, strict=True):
        torch.testing.assert_close(values.grad, 1024 * gradient)


@pytest.mark.parametrize("box_loss", ["mse", "ciou"])
@pytest.mark.parametrize("name", LOSSES)
def test_objects_without_area_change_nothing(name, box_loss):
    # a low threshold, so that darknet's rule would ignore whatever overlaps them at all
    low = {"ignore_threshold": 0.05} if name == "darknet" else {}
    spec, loss = build(name, box_loss=box_loss, **low)
    raw = random_raw(spec)
    more = Targets(
        torch.cat([TWO.boxes, torch.tensor([[40.0, 50, 40, 90], [64, 64, 64, 64]])]),
        torch.cat([TWO.labels, torch.tensor([0, 1])]),
        torch.cat([TWO.image_index, torch.tensor([1, 1])]),
    )
    _, before = gradients(loss, raw, TWO)
    _, after = gradients(loss, raw, more)
    for plain, found in zip(before, after, strict=True):
        torch.testing.assert_close(found, plain)


@pytest.mark.parametrize("name", LOSSES)
def test_objects_of_one_image_leave_the_others_alone(name):
    spec, loss = build(name, **({} if name != "scaled-yolov4" else {"class_gain": 0.0}))
    raw = random_raw(spec)
    first = targets_of([[10, 20, 50, 90]], [0], [0])
    second = targets_of([[10, 20, 50, 90]], [0], [1])
    _, in_first = gradients(loss, raw, first)
    swapped = [v.detach().flip(0).requires_grad_() for v in raw]
    _, in_second = gradients(loss, swapped, second)
    for one, other in zip(in_first, in_second, strict=True):
        torch.testing.assert_close(one, other.flip(0))


@pytest.mark.parametrize("name", LOSSES)
def test_processes_together_have_the_gradient_of_the_joint_batch(name):
    spec, loss = build(name)
    raw = random_raw(spec, images=3)
    boxes = [[10, 20, 50, 90], [70, 60, 110, 100], [30, 30, 100, 110], [5, 5, 40, 30]]
    joint = targets_of(boxes, [0, 2, 1, 0], [0, 0, 1, 2])
    _, expected = gradients(loss, raw, joint)
    parts = [
        (slice(0, 2), targets_of(boxes[:3], [0, 2, 1], [0, 0, 1])),
        (slice(2, 3), targets_of(boxes[3:], [0], [0])),
    ]
    parts = [([v.detach()[own].clone().requires_grad_() for v in raw], t) for own, t in parts]
    asked = []

    def listen(counts):
        asked.append(counts)
        return counts

    for part, targets in parts:  # what each process adds to the sum
        loss(part, targets, SIZE, all_reduce=listen)
    found = [gradients(loss, *part, all_reduce=lambda _: sum(asked))[1] for part in parts]
    for one, other, whole in zip(*found, expected, strict=True):
        torch.testing.assert_close(torch.cat([one, other]) / 2, whole, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", LOSSES)
def test_large_batches_are_matched_in_parts(name, monkeypatch):
    spec, loss = build(name)
    raw = random_raw(spec)
    whole = loss(raw, TWO, SIZE).total
    monkeypatch.setattr("scantling.losses.elements.CHUNK", 1)
    torch.testing.assert_close(loss(raw, TWO, SIZE).total, whole)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_has_nothing_to_train_or_store(name):
    _, loss = build(name)
    assert not list(loss.parameters())
    assert not loss.state_dict()


def test_settings_are_read_by_their_kind():
    adapter = TypeAdapter(LossSettings)
    assert adapter.validate_python({"kind": "darknet", "focal": True}).focal
    for settings in SETTINGS.values():
        assert adapter.validate_json(settings.model_dump_json()) == settings


def test_a_loss_refuses_levels_that_it_cannot_read():
    with pytest.raises(InvalidValue, match="offset"):
        build_loss(spec_for("efficientdet").levels, CLASSES, DarknetSettings())
    with pytest.raises(InvalidValue, match="exponential"):
        build_loss(spec_for("darknet").levels, CLASSES, EfficientDetSettings())
    with pytest.raises(InvalidValue, match="channels"):
        build("darknet")[1]([torch.zeros(1, 7, 4, 4)] * 2, NONE, SIZE)


def drawings():
    """Two images of plain rectangles on grey, and what they show."""
    images = torch.full((2, 3, *SIZE), 0.5)
    colours = torch.eye(3)
    for box, label, image in zip(TWO.boxes.long(), TWO.labels, TWO.image_index, strict=True):
        left, top, right, bottom = box.tolist()
        images[image, :, top:bottom, left:right] = colours[label][:, None, None]
    return images


@pytest.mark.parametrize("name", LOSSES)
def test_a_thin_network_learns_two_drawings_by_heart(name):
    torch.manual_seed(0)
    spec, loss = build(name)
    network = build_detector(spec)
    images = drawings()
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    # Smaller and smaller steps: sums in another order, of another processor, end at the same place.
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.02, total_iters=90)
    totals = []
    for _ in range(90):
        terms = loss(network(images), TWO, SIZE)
        optimizer.zero_grad()
        terms.total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimizer.step()
        schedule.step()
        totals.append(terms.total.item())
    assert totals[-1] < totals[0] / FALLS[name]
    network.train()  # the statistics of these two images
    with torch.no_grad():
        found = select(network.decode(network(images), SIZE), settings=Selection(min_score=0.3))
    for image, selected in enumerate(found):
        mine = TWO.image_index == image
        boxes = torch.from_numpy(selected.boxes)
        overlap = torch.stack([pair_iou(boxes, box) for box in TWO.boxes[mine]])
        assert (overlap.amax(1) > 0.7).all()
        labels = torch.from_numpy(selected.labels)[overlap.argmax(1)]
        assert labels.tolist() == TWO.labels[mine].tolist()


def pair_iou(boxes, box):
    low, high = torch.maximum(boxes[:, :2], box[:2]), torch.minimum(boxes[:, 2:], box[2:])
    overlap = (high - low).clamp(min=0).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (box[2:] - box[:2]).prod()
    return overlap / (areas - overlap)
