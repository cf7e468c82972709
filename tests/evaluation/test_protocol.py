"""The line that answers "which AP is this?"."""

from dataclasses import replace

import pytest

from scantling.errors import InvalidValue
from scantling.evaluation import PROTOCOLS


def test_the_line_of_coco_states_all_that_its_figure_depends_on():
    line = PROTOCOLS["coco"].describe()
    for part in ("0.5:0.95 by 0.05", "101 recall points", "0.001", "best 100", "crowds", "greedy"):
        assert part in line
    assert "\n" not in line


@pytest.mark.parametrize(
    "change",
    [
        {"min_score": 0.05},
        {"ious": (0.5, 0.75)},
        {"ious": (0.5,)},
        {"max_detections": (1, 10, 300)},
        {"kept": None},
        {"nms": "diou"},
        {"nms_iou": 0.7},
        {"points": 0},
        {"clip": False},
        {"inclusive": True},
        {"any_class": True},
    ],
)
def test_whatever_is_changed_shows_in_the_line(change: dict[str, object]):
    usual = PROTOCOLS["coco"]
    assert replace(usual, **change).describe() != usual.describe()


def test_every_protocol_is_called_what_the_table_calls_it_and_describes_itself_apart():
    assert [protocol.name for protocol in PROTOCOLS.values()] == list(PROTOCOLS)
    assert len({protocol.describe() for protocol in PROTOCOLS.values()}) == len(PROTOCOLS)


@pytest.mark.parametrize(
    "wrong", [{"name": "kitti"}, {"ious": ()}, {"min_score": 2.0}, {"nms_iou": -1}, {"points": 1}]
)
def test_a_setting_without_meaning_is_refused(wrong: dict[str, object]):
    with pytest.raises(InvalidValue):
        replace(PROTOCOLS["coco"], **wrong)
