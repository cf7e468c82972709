"""A head refuses the settings of another."""

import pytest

from scantling.detector import build_detector
from scantling.errors import InvalidSpec
from scantling.specs import CATALOG


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("yolov4-tiny", "depth", 3),
        ("yolov4-tiny", "redundant_bias", True),
        ("efficientdet-d0", "scale_xy", (1.1,) * 5),
        ("efficientdet-d0", "channels", (64,) * 5),
    ],
)
def test_every_head_refuses_settings_that_it_does_not_have(name: str, setting: str, value: object):
    spec = CATALOG[name]
    with pytest.raises(InvalidSpec, match=f"this kind has no {setting}"):
        build_detector(spec.replace(head=spec.head.replace(**{setting: value})))


@pytest.mark.parametrize(
    ("name", "coding", "expected"),
    [
        ("yolov4-tiny", "offset", "Use 'exponential' or 'sigmoid'"),
        ("yolov4-csp", "foo", "Use 'exponential' or 'sigmoid'"),
        ("efficientdet-d0", "sigmoid", "box_coding of its head is 'sigmoid'. Use 'offset'"),
    ],
)
def test_every_head_refuses_a_box_coding_that_it_does_not_have(name, coding, expected):
    spec = CATALOG[name]
    with pytest.raises(InvalidSpec, match=expected):
        build_detector(spec.replace(head=spec.head.replace(box_coding=coding)))


def test_a_yolo_head_needs_to_know_how_far_centres_leave_their_cells():
    spec = CATALOG["yolov4-tiny"]
    without = spec.replace(head=spec.head.replace(scale_xy=()))
    with pytest.raises(InvalidSpec, match="its boxes are in cells, but scale_xy is empty"):
        build_detector(without)
