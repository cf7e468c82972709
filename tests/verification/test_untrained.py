"""A network that knows nothing is compared by its numbers: which boxes it prefers is chance."""

from pathlib import Path

import pytest
import torch

from scantling.checkpoints import create_model
from scantling.exporting import export

pytestmark = pytest.mark.needs("onnxruntime")


def test_an_untrained_network_is_compared_by_its_numbers_alone(tmp_path: Path, logged: list[str]):
    torch.manual_seed(1)  # whose 30 best scores in each scene are 0.01015 to 0.01022
    model = create_model("efficientdet-d0", num_classes=3, image_size=128)
    exported = export(model, "onnx", out=tmp_path / "d0.onnx")
    assert exported.verification is not None
    tensors, boxes = exported.verification.stages
    assert {one.name for one in boxes.figures if "compared" in one.name} == {
        "boxes compared, from 0.25"
    }
    assert any("no boxes were compared" in one for one in logged)
    assert all(one.value > 60 for one in tensors.figures if "agree" in one.name and one.limit)
