"""Decoding in NumPy is that of the heads, to the last few bits."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from scantling.engines.files import as_candidates
from scantling.errors import InvalidExport
from scantling.heads.efficientdet import EfficientDetHead
from scantling.heads.yolo_decoding import decode_level
from scantling.specs import CATALOG, InputSpec
from scantling.specs.level import Level
from scantling.specs.metadata import GraphForm

LN3 = float(np.log(3))  # its logistic is 3 / 4
LOGITS = (LN3, 0, LN3, 0, 0, LN3, -LN3)
SHARES = (0.75, 0.5, 0.75, 0.5, 0.5, 0.75, 0.25)  # the same, activated


@pytest.mark.parametrize(
    ("coding", "activated", "classes", "size", "scores"),
    [
        ("exponential", False, "sigmoid", (30, 20), (0.375, 0.125)),
        ("exponential", False, "softmax", (30, 20), (0.45, 0.05)),
        ("sigmoid", False, "sigmoid", (22.5, 20), (0.375, 0.125)),
        ("sigmoid", True, "sigmoid", (22.5, 20), (0.375, 0.125)),
    ],
)
def test_a_yolo_cell_is_decoded_by_hand(coding, activated, classes, size, scores):
    level = Level(
        stride=32,
        anchors=((10, 20),),
        box_coding=coding,
        scale_xy=1.2,
        activated=activated,
        class_activation=classes,
    )
    raw = np.zeros((1, 7, 2, 2), np.float32)
    raw[0, :, 1, 0] = SHARES if activated else LOGITS  # second row, first column
    found = decode_level(raw, level, (64, 64))
    x, y = (0 + 1.2 * 0.75 - 0.1) * 32, (1 + 1.2 * 0.5 - 0.1) * 32
    width, height = size
    box = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    np.testing.assert_allclose(found.boxes[0, 2], box, rtol=1e-5)
    np.testing.assert_allclose(found.scores[0, 2], scores, rtol=1e-5)


@pytest.mark.parametrize("coding", ["exponential", "sigmoid"])
@pytest.mark.parametrize("activated", [False, True])
@pytest.mark.parametrize("classes", ["sigmoid", "softmax"])
def test_torch_and_numpy_decode_a_yolo_alike(coding, activated, classes):
    raw = torch.randn(2, 3 * 9, 4, 6, generator=torch.Generator().manual_seed(0)) * 3
    anchors = ((10.0, 14.0), (23.0, 27.0), (37.0, 58.0))
    settings = {"box_coding": coding, "scale_xy": 1.05, "activated": activated}
    level = Level(stride=32, anchors=anchors, class_activation=classes, **settings)
    expected = decode_level(raw, level, (128, 192))
    got = decode_level(raw.numpy(), level, (128, 192))
    np.testing.assert_allclose(got.boxes, expected.boxes.numpy(), rtol=2e-5, atol=1e-3)
    np.testing.assert_allclose(got.scores, expected.scores.numpy(), rtol=2e-5, atol=1e-6)


def test_efficientdet_levels_are_decoded_as_the_head_does():
    spec = CATALOG["efficientdet-d0"]
    head = EfficientDetHead([64] * 5, spec.strides, spec.head, 7)
    generator = torch.Generator().manual_seed(0)
    sizes = [(128 // stride, 256 // stride) for stride in spec.strides]
    raw = [
        torch.randn(2, 9 * values, *size, generator=generator)
        for values in (7, 4)
        for size in sizes
    ]
    expected = head.decode(raw, (128, 256))
    levels = tuple(
        Level(stride=stride, anchors=anchors, box_coding="offset")
        for stride, anchors in zip(spec.strides, spec.head.anchors, strict=True)
    )
    metadata = SimpleNamespace(
        form=GraphForm(gives="raw"),
        levels=levels,
        names=tuple("abcdefg"),
        source="a",
        spec=SimpleNamespace(head_kind="efficientdet"),
    )
    outputs = {f"raw{number}": values.numpy() for number, values in enumerate(raw)}
    got = as_candidates(outputs, metadata, (128, 256))
    np.testing.assert_allclose(got.boxes, expected.boxes.numpy(), rtol=2e-5, atol=1e-3)
    np.testing.assert_allclose(got.scores, expected.scores.numpy(), rtol=2e-5, atol=1e-6)


def test_detections_become_boxes_of_one_class_and_odd_labels_of_none():
    rows = np.array([[[1, 2, 3, 4, 0.9, 2], [5, 6, 7, 8, 0.4, np.nan], [0, 0, 0, 0, 0.5, 99]]])
    metadata = SimpleNamespace(form=GraphForm(gives="detections"), names=tuple("abc"), source="a")
    got = as_candidates({"detections": rows}, metadata, (64, 64))
    np.testing.assert_array_equal(got.boxes[0, 0], [1, 2, 3, 4])
    np.testing.assert_allclose(got.scores[0], [[0, 0, 0.9], [0, 0, 0], [0, 0, 0]], atol=1e-7)


def test_outputs_of_another_shape_are_refused():
    metadata = SimpleNamespace(form=GraphForm(), names=tuple("abc"), source="a")
    boxes, scores = np.zeros((1, 5, 4), np.float32), np.zeros((1, 5, 2), np.float32)
    with pytest.raises(InvalidExport, match="scores"):
        as_candidates({"boxes": boxes, "scores": scores}, metadata, (64, 64))


def test_raw_predictions_of_a_graph_that_fits_images_itself_are_in_pixels_of_the_image():
    raw = np.random.default_rng(0).normal(size=(1, 8, 2, 2)).astype(np.float32)
    level = Level(stride=32, anchors=((10.0, 14.0),), box_coding="exponential")
    spec = SimpleNamespace(head_kind="yolo")
    told = {
        "spec": spec,
        "levels": (level,),
        "names": tuple("abc"),
        "source": "a",
        "image_size": (64, 64),
    }
    fitted = {"input_spec": InputSpec(resize_mode="letterbox")}
    canvas = SimpleNamespace(form=GraphForm(gives="raw"), **told)
    whole = SimpleNamespace(form=GraphForm(takes="image", gives="raw"), **told, **fitted)
    expected = as_candidates({"raw0": raw}, canvas, (64, 64))
    got = as_candidates({"raw0": raw}, whole, (128, 256))  # a quarter as large, 16 rows above it
    moved = (expected.boxes - np.array([0, 16, 0, 16], np.float32)) * 4
    np.testing.assert_allclose(got.boxes, moved, rtol=1e-5, atol=1e-3)
    np.testing.assert_array_equal(got.scores, expected.scores)
