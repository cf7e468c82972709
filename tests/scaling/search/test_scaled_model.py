"""From a budget to a model that every command takes, with the reasons beside it."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from labelled import make_dataset
from made_up_device import write_device
from scantling.errors import InvalidData, InvalidValue
from scantling.scaling.latency import predict_latency
from scantling.scaling.search import (
    Device,
    describe_model,
    draw_pareto_front,
    open_device,
    scale,
    to_record,
    verify_latency,
    write_scaled_model,
)
from scantling.scaling.search.budget import Budget
from scantling.scaling.search.candidate_table import cost_with_classes
from scantling.scaling.search.candidates import list_candidates
from scantling.specs import find_spec


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Device:
    return open_device(write_device(tmp_path_factory.mktemp("device") / "box.json"))


@pytest.mark.parametrize(("name", "side"), [("tiny-w0.5", 320), ("csp-w0.25-d1", 416), ("d1", 640)])
def test_the_latency_of_a_candidate_is_that_of_its_spec(device: Device, name: str, side: int):
    own = next(one for one in list_candidates() if one.name == name)
    found = device.latency(own.spec, cost_with_classes(own.spec, 80).cost, [side])
    whole = predict_latency(own.spec, device.profile, image_size=side)
    assert found.middle[0] == pytest.approx(whole.seconds, rel=0.02)
    assert found.low[0] < found.middle[0] < found.high[0]


def test_the_upper_end_of_the_error_bar_is_within_the_budget(device: Device):
    found = scale(Budget(latency=0.08), like="yolov4", device=device)
    low, high = found.search.costs.bars["latency"]
    assert low < found.search.costs.values["latency"] < high <= 0.08
    assert found.search.binding == "latency"
    assert any("device: box: made up, torch" in line for line in describe_model(found))


def test_the_file_of_a_fit_is_a_model_and_holds_the_reasons(tmp_path: Path):
    found = scale(Budget(macs=1e9), like="yolov4", num_classes=3)
    write_scaled_model(found, tmp_path / "fit.json")
    assert find_spec(str(tmp_path / "fit.json")) == found.spec
    content = json.loads((tmp_path / "fit.json").read_text("utf-8"))
    assert content["search"]["binding"] == "MACs"
    assert content["search"]["neighbours"][0]["refused_by"] == "MACs"
    assert any("it predicts no AP" in line for line in content["reasons"])


def test_nothing_that_is_printed_calls_the_proxy_ap():
    found = scale(Budget(macs=1e9))
    lines = describe_model(found)
    assert sum("AP" in line for line in lines) == 1  # the residual, which says what it is
    assert (
        json.loads(json.dumps(to_record(found)))["accuracy_proxy"]
        == found.search.costs.accuracy_proxy
    )
    assert "AP" not in {key.upper() for key in to_record(found)}


def test_data_gives_classes_anchors_and_says_which_level_is_wasted(tmp_path: Path):
    rng = np.random.default_rng(0)
    sides = rng.uniform(60, 90, (60, 2))
    boxes = [(place // 30, 0, (0.0, 0.0, *side)) for place, side in enumerate(sides)]
    dataset = make_dataset(tmp_path, boxes, size=(160, 160))
    found = scale(Budget(macs=2e9), like="yolov4", dataset=dataset, kinds=("csp",))
    assert found.search.budget.image == (160, 160)
    assert found.spec.num_classes == 2
    assert found.advice is not None
    assert 8 in found.advice.wasted
    assert sum(found.advice.levels.values()) == pytest.approx(1)
    ratio = found.spec.image_size[0] / 160
    anchors = np.array([one for group in found.spec.head.anchors for one in group])
    assert (anchors > 50 * ratio).all()
    assert (anchors < 100 * ratio).all()
    text = " ".join(describe_model(found))
    assert "the level of stride 8 is wasted" in text
    assert "would be enough for 95 %" in text


def test_data_with_tiny_boxes_asks_for_a_larger_input(tmp_path: Path):
    boxes = [(place // 20, 0, (0.0, 0.0, 3.0, 3.0 + place / 50)) for place in range(40)]
    dataset = make_dataset(tmp_path, boxes, size=(240, 320))
    found = scale(Budget(macs=5e8), like="yolov4", dataset=dataset)
    assert found.advice is not None
    assert found.advice.found < 0.05
    assert found.advice.image_size > found.spec.image_size[0]
    assert found.advice.image_size * 3 / 320 >= 1.5 * found.spec.strides[0] * 0.9
    assert "--min-object" in " ".join(describe_model(found))


def test_data_without_boxes_is_refused(tmp_path: Path):
    dataset = make_dataset(tmp_path, [])
    with pytest.raises(InvalidData, match="no image has a box"):
        scale(Budget(macs=5e8), dataset=dataset)


def test_the_anchors_of_efficientdet_stay_as_they_are(tmp_path: Path):
    boxes = [(place // 20, 0, (0.0, 0.0, 30.0, 20.0 + place)) for place in range(40)]
    dataset = make_dataset(tmp_path, boxes, size=(240, 320))
    found = scale(Budget(macs=5e9), like="efficientdet", dataset=dataset)
    assert found.spec.head.anchors == found.search.spec.head.anchors


def test_a_choice_is_measured_with_the_engine_of_its_profile(device: Device, logged: list[str]):
    found = scale(Budget(latency=5.0, macs=1e8), like="yolov4", device=device)
    measured = verify_latency(found, seconds=0.2)
    assert measured.turns >= 10
    assert measured.low <= measured.seconds <= measured.high
    assert measured.passed
    assert "against" in measured.describe()
    assert any("another processor" in line for line in logged)
    assert any("torch" in line for line in logged)


def test_a_choice_without_a_device_is_not_measured():
    with pytest.raises(InvalidValue, match="device profile"):
        verify_latency(scale(Budget(macs=1e9), kinds=("tiny",)))


def test_the_front_is_drawn_with_the_choice(device: Device):
    found = scale(Budget(latency=0.08), like="yolov4", device=device)
    image = cv2.imdecode(
        np.frombuffer(draw_pareto_front([found.search]), np.uint8), cv2.IMREAD_COLOR
    )
    assert image.shape[1] > 600
    blue = (np.abs(image.astype(int) - (0xB2, 0x72, 0x00)).sum(axis=2) < 30).sum()
    assert blue > 50
