"""What layers cost is told by how far candidates move; the worst stay in floating point."""

from pathlib import Path

import numpy as np
import pytest
from test_real_networks import load, photographs

from scantling.errors import ExportDiffers
from scantling.exporting import FORMATS, export
from scantling.exporting.mixed_precision import distance
from scantling.structures import Candidates

INT8 = [pytest.param("openvino", marks=pytest.mark.needs("nncf")), "onnx"]


def candidates(*, shift: float = 0.0, score: float = 0.5) -> Candidates:
    """Two boxes of 10×10, the second of them moved and scored as asked for."""
    boxes = np.array([[[0, 0, 10, 10], [20 + shift, 0, 30 + shift, 10]]], np.float32)
    return Candidates(boxes, np.array([[[0.5, 0.1], [score, 0.1]]], np.float32))


def test_equal_candidates_are_no_distance_apart():
    assert distance(candidates(), candidates()) == pytest.approx(0, abs=1e-6)


def test_a_box_counts_by_the_share_that_is_not_covered():
    # half of 10 × 10 is shared: an IoU of 1/3, in one of two boxes of the same score
    assert distance(candidates(), candidates(shift=5)) == pytest.approx(1 / 3, abs=1e-6)


def test_a_score_counts_by_its_difference():
    assert distance(candidates(), candidates(score=0.25)) == pytest.approx(0.25, abs=1e-6)


def test_detections_are_compared_best_first_whatever_their_order():
    swapped = candidates(score=0.3)
    swapped = Candidates(swapped.boxes[:, ::-1], swapped.scores[:, ::-1])
    assert distance(candidates(score=0.3), swapped, aligned=False) == pytest.approx(0, abs=1e-6)


@pytest.mark.slow
@pytest.mark.needs("openvino", "onnxruntime")
@pytest.mark.parametrize("to", INT8)
def test_the_worst_layers_stay_until_the_limit_holds(
    to: str, assets: Path, tmp_path: Path, logged: list[str]
):
    model = load(assets, "yolov4-tiny")
    data = photographs(assets, tmp_path / "all.yaml", first=0, step=1, count=128)
    path = tmp_path / f"a{FORMATS[to].suffix}"
    try:
        exported = export(model, to, out=path, precision="int8", data=data, max_ap_drop=0.004)
    except ExportDiffers as error:
        pytest.fail(f"{error}: {logged}")
    assert exported.ap_lost is not None
    assert exported.ap_lost.lost <= 0.004
    assert any("layers left as they are" in one for one in logged)
    assert exported.metadata.calibration is not None
    assert exported.metadata.calibration.fp32_layers
