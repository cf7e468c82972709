"""The line that answers "which AP is this?"."""

import json
from dataclasses import replace

import numpy as np
import pytest
from random_tables import random_tables

from scantling.errors import InvalidValue
from scantling.evaluation import (
    PROTOCOLS,
    DetectionTable,
    GroundTruth,
    Protocol,
    VocResult,
    class_table,
    compute_metrics,
    evaluate_voc,
)


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
        {"class_agnostic": True},
    ],
)
def test_whatever_is_changed_shows_in_the_line(change: dict[str, object]):
    usual = PROTOCOLS["coco"]
    assert replace(usual, **change).describe() != usual.describe()


def test_every_protocol_is_called_what_the_table_calls_it_and_describes_itself_apart():
    assert [protocol.name for protocol in PROTOCOLS.values()] == list(PROTOCOLS)
    assert len({protocol.describe() for protocol in PROTOCOLS.values()}) == len(PROTOCOLS)


@pytest.mark.parametrize(
    "wrong", [{"name": ""}, {"ious": ()}, {"min_score": 2.0}, {"nms_iou": -1}, {"points": 1}]
)
def test_a_setting_without_meaning_is_refused(wrong: dict[str, object]):
    with pytest.raises(InvalidValue):
        replace(PROTOCOLS["coco"], **wrong)


@pytest.mark.parametrize("seed", range(3))
def test_a_protocol_of_ones_own_needs_nothing_but_its_own_rules(seed: int):
    def recall(truth: GroundTruth, detections: DetectionTable, protocol: Protocol) -> VocResult:
        """Recall in place of AP."""
        result = evaluate_voc(truth, detections, iou=protocol.ious[0])
        return replace(result, ap=result.true_positives / np.maximum(1, result.objects))

    own = replace(PROTOCOLS["voc12"], name="recall", title="Recall", compute=recall)
    metrics = compute_metrics(*random_tables(seed, flags=False), own)
    assert metrics.protocol.describe().startswith("Recall: IoU 0.5")
    columns, rows = class_table(metrics)
    assert columns[2] == "AP"
    assert [row[2] for row in rows] == [
        one for (one,) in metrics.result.class_stats()[1] if one is not None
    ]
    assert json.loads(json.dumps(own.to_record()))["name"] == "recall"
