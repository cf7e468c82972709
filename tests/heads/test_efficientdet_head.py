"""The EfficientDet head: published anchors, decoding by hand, export, and refusals."""

import math

import pytest
import torch
from torch import nn

from scantling.blocks import fuse_norms
from scantling.errors import InvalidSpec
from scantling.heads.efficientdet import EfficientDetHead
from scantling.heads.efficientdet_decoding import cell_anchors
from scantling.specs import HeadSpec, find_spec
from scantling.specs.level import Level

SPEC = HeadSpec(kind="efficientdet", anchors=(((64, 32), (16, 16)),), box_coding="offset")
YOLO = find_spec("yolov4").head


def build(spec: HeadSpec, *, levels: int = 1, classes: int = 2) -> EfficientDetHead:
    torch.manual_seed(0)
    strides = tuple(16 << level for level in range(levels))
    head = EfficientDetHead((8,) * levels, strides, spec, classes)
    return head.eval()


def level_anchors(name: str, level: int, image_size: tuple[int, int]) -> torch.Tensor:
    spec = find_spec(name)
    stride = spec.strides[level]
    cells = torch.zeros(1, 1, *(math.ceil(side / stride) for side in image_size))
    return cell_anchors(cells, spec.levels[level], image_size)


def test_d0_has_the_published_number_of_anchors():
    counts = [len(level_anchors("efficientdet-d0", level, (512, 512))) for level in range(5)]
    assert counts == [9 * 64**2, 9 * 32**2, 9 * 16**2, 9 * 8**2, 9 * 4**2]
    assert sum(counts) == 49_104


@pytest.mark.parametrize(
    ("name", "level", "side"),
    [
        ("efficientdet-d0", 0, 4 * 8),
        ("efficientdet-d0", 4, 4 * 128),
        ("efficientdet-d7", 0, 5 * 8),
        ("efficientdet-d7x", 5, 4 * 256),
        ("efficientdet-lite0", 1, 3 * 16),
        ("efficientdet-lite3", 1, 4 * 16),
    ],
)
def test_anchors_have_the_published_sides_and_ratios(name: str, level: int, side: float):
    anchors = level_anchors(name, level, (1536, 1536))
    cell = 8 << level
    expected = [
        (side * octave * width, side * octave * height)
        for octave in (1, 2 ** (1 / 3), 2 ** (2 / 3))
        for width, height in ((1, 1), (1.4, 0.7), (0.7, 1.4))
    ]
    torch.testing.assert_close(anchors[:9, 2:], torch.tensor(expected))
    assert anchors[:9, :2].unique().tolist() == [cell / 2]
    assert anchors[9, :2].tolist() == [cell * 1.5, cell / 2]  # the next column


def test_anchors_shrink_with_cells_where_the_stride_does_not_divide_the_image():
    level = Level(stride=32, anchors=((32, 64),), box_coding="offset")
    anchors = cell_anchors(torch.zeros(1, 1, 2, 1), level, (60, 30))
    assert anchors.tolist() == [[15, 15, 30, 60], [15, 45, 30, 60]]


def test_one_anchor_is_decoded_by_hand():
    head = build(SPEC)
    classes, boxes = torch.zeros(1, 2 * 2, 2, 3), torch.zeros(1, 2 * 4, 2, 3)
    classes[0, 1, 1, 2] = math.log(3)  # second class of the first anchor, last cell
    boxes[0, :4, 1, 2] = torch.tensor([0.5, -0.25, math.log(2), math.log(0.5)])
    candidates = head.decode([classes, boxes], (32, 48))
    # centre (40 − 64 / 4, 24 + 32 / 2), width 64 / 2, height 32 · 2
    torch.testing.assert_close(candidates.boxes[0, 10], torch.tensor([8.0, 8.0, 40.0, 72.0]))
    torch.testing.assert_close(candidates.scores[0, 10], torch.tensor([0.5, 0.75]))
    torch.testing.assert_close(candidates.boxes[0, 11], torch.tensor([32.0, 16.0, 48.0, 32.0]))
    assert candidates.boxes.shape == (1, 12, 4)


def test_candidates_run_by_level_then_row_then_column_then_anchor():
    head = build(SPEC.replace(anchors=SPEC.anchors * 2), levels=2)
    raw = head([torch.zeros(1, 8, 2, 3), torch.zeros(1, 8, 1, 2)])
    raw = [torch.zeros_like(level) for level in raw]
    raw[1][0, 2, 0, 1] = 9.0  # coarse level, second anchor, second column, first class
    scores = head.decode(raw, (32, 48)).scores
    assert int(scores[0, :, 0].argmax()) == 2 * 3 * 2 + 1 * 2 + 1


def test_before_training_every_class_has_the_prior():
    head = build(SPEC)
    nn.init.zeros_(head.classes.predict.pointwise.weight)
    raw = head([torch.randn(1, 8, 2, 2)])
    torch.testing.assert_close(raw[0].sigmoid(), torch.full((1, 4, 2, 2), 0.01))


def test_levels_share_convolutions_and_not_statistics():
    head = build(SPEC.replace(anchors=SPEC.anchors * 2, depth=2), levels=2)
    x = torch.randn(1, 8, 4, 4)
    first, second = head([x, x])[:2]
    torch.testing.assert_close(first, second)
    nn.init.constant_(head.classes.hidden[0].norms[1].bias, 1.0)
    again = head([x, x])
    assert torch.equal(again[0], first)
    assert not torch.allclose(again[1], second)


def test_the_head_predicts_the_same_exported_and_with_folded_norms():
    head = build(SPEC.replace(anchors=SPEC.anchors * 2, depth=2, redundant_bias=True), levels=2)
    for norm in head.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.running_mean, -0.5, 0.5)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)
    maps = [torch.randn(1, 8, 5, 3), torch.randn(1, 8, 3, 2)]
    with torch.inference_mode():
        expected = head(maps)
    exported = torch.export.export(head, (maps,)).module()(maps)
    fuse_norms(head)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in head.modules())
    for level, again, reference in zip(exported, head(maps), expected, strict=True):
        torch.testing.assert_close(level, reference)
        torch.testing.assert_close(again, reference, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "widths", "problem"),
    [
        ({}, (8, 16), r"share this head, but their channels are \(8, 16\)"),
        ({"anchors": (((8, 8),), ((8, 8), (9, 9)))}, (8, 8), r"they have \[1, 2\] anchors"),
    ],
)
def test_what_shared_networks_cannot_serve_is_refused(changes, widths, problem):
    spec = SPEC.replace(anchors=SPEC.anchors * 2).replace(**changes)
    with pytest.raises(InvalidSpec, match=problem):
        EfficientDetHead(widths, (8, 16), spec, 2)
