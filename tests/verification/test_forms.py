"""A right file has no fault, whatever its format, its precision and its form."""

from pathlib import Path

import pytest
from wrong_graphs import export

from scantling.checkpoints import Model
from scantling.specs.metadata import GraphForm
from scantling.verification import verify

SIZE = 128
# suffix, precision, what it takes, what it gives, batch; None for any batch and any size
FILES = [
    (".onnx", "fp16", "uint8", "candidates", 1),
    (".onnx", "fp32", "image", "detections", 1),
    (".onnx", "fp32", "float", "raw", 2),
    (".xml", "fp16", "float", "raw", 1),
    (".xml", "bf16", "uint8", "detections", 2),
    (".xml", "fp32", "image", "candidates", 1),
    (".xml", "fp32", "uint8", "raw", 1),
    (".onnx", "fp32", "uint8", "candidates", None),
    (".xml", "fp16", "uint8", "candidates", 2),
    (".onnx", "fp16", "image", "detections", 1),
    (".xml", "bf16", "float", "candidates", 1),
    (".xml", "bf16", "image", "raw", 1),
]


@pytest.mark.parametrize(("suffix", "precision", "takes", "gives", "batch"), FILES)
def test_a_right_file_has_no_fault(
    small: Model, tmp_path: Path, suffix, precision, takes, gives, batch
):
    form = GraphForm(takes=takes, gives=gives, batch=batch, any_size=batch is None)
    # low, so that a graph with NMS in it finds something in drawn scenes
    thresholds = {"min_score": 0.01} if gives == "detections" else {}
    file = tmp_path / f"right{suffix}"
    export(small, file, form=form, precision=precision, image_size=SIZE, **thresholds)
    found = verify(file, against=small, cache=tmp_path)
    assert found.passed, found.describe_failure()
    assert found.precision == precision
    assert [stage.name for stage in found.stages] == ["tensors", "boxes"]
    assert not found.notes
