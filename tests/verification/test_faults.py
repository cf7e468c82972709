"""Every injected fault is caught and named, first; right files have none."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import injections as faults
import pytest
from injections import edit_metadata, edit_onnx
from wrong_graphs import disturbed

from scantling.checkpoints import Model
from scantling.verification import Verification, verify

BGR, TWICE, TRANSPOSED = "channels swapped (BGR)", "scaled twice", "boxes transposed"
DECODING, STALE, CLASSES = "wrong decode scheme", "stale weights", "classes reordered"

IN_GRAPH = [
    (faults.swap_channels, BGR),
    (faults.scale_twice, TWICE),
    (faults.transpose_boxes, TRANSPOSED),
    (faults.centre_boxes, DECODING),
    (faults.other_sizes, DECODING),
    (faults.roll_classes, CLASSES),
    (faults.swap_two_classes, CLASSES),
]


# What is told apart in front of a network or behind its classes is so in both families.
LIKE_YOLO = (faults.scale_twice, faults.centre_boxes, faults.swap_two_classes)


def check(file: Path, model: Model, engine: str = "onnxruntime") -> Verification:
    return verify(file, against=model, engine=engine)


def names(verification: Verification) -> list[str]:
    return [fault.name for fault in verification.faults]


@pytest.mark.parametrize("which", ["yolo", "yolo_raw", "efficientdet"])
def test_a_right_file_passes_and_has_no_fault(which: str, request: pytest.FixtureRequest):
    right = request.getfixturevalue(which)
    verification = check(right.file, right.model)
    assert verification.passed, verification.describe_failure()
    assert verification.notes == ()


@pytest.mark.parametrize(
    ("which", "inject", "name"),
    [
        *(("yolo", *fault) for fault in IN_GRAPH),
        *(("efficientdet", *fault) for fault in IN_GRAPH if fault[0] not in LIKE_YOLO),
    ],
)
def test_a_fault_in_a_graph_is_named(
    which: str,
    inject: Callable[..., None],
    name: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
):
    right = request.getfixturevalue(which)
    wrong = edit_onnx(right.file, tmp_path / "wrong.onnx", inject)
    verification = check(wrong, right.model)
    assert not verification.passed
    assert names(verification) == [name]


@pytest.mark.parametrize(
    ("inject", "name"), [(faults.swap_channels, BGR), (faults.scale_twice, TWICE)]
)
def test_a_fault_in_front_of_raw_predictions_is_named(inject, name, yolo_raw, tmp_path: Path):
    wrong = edit_onnx(yolo_raw.file, tmp_path / "wrong.onnx", inject)
    assert names(check(wrong, yolo_raw.model)) == [name]


@pytest.mark.parametrize("which", ["yolo", "yolo_raw"])
@pytest.mark.parametrize(
    ("change", "name"), [(faults.other_coding, DECODING), (faults.shuffle_names, CLASSES)]
)
def test_a_fault_in_metadata_is_named(which, change, name, request, tmp_path: Path):
    right = request.getfixturevalue(which)
    wrong = edit_onnx(right.file, tmp_path / "wrong.onnx", edit_metadata(change))
    verification = check(wrong, right.model)
    assert not verification.passed
    assert names(verification) == [name]


def test_metadata_that_says_stretch_where_the_model_letterboxes_is_named(yolo, tmp_path: Path):
    spec = yolo.model.spec
    letterboxed = replace(
        yolo.model, spec=spec.replace(input=spec.input.replace(resize_mode="letterbox"))
    )
    wrong = edit_onnx(yolo.file, tmp_path / "wrong.onnx", edit_metadata(faults.stretch))
    verification = check(wrong, letterboxed)
    assert names(verification) == ["stretched instead of letterboxed"]
    (boxes,) = (stage for stage in verification.stages if stage.name == "boxes")
    assert not boxes.passed


@pytest.mark.parametrize("which", ["yolo", "efficientdet"])
def test_a_file_of_older_weights_is_stale(which: str, request: pytest.FixtureRequest):
    right = request.getfixturevalue(which)
    verification = check(right.file, disturbed(right.model))
    assert names(verification) == [STALE]
    assert "exported from other weights" in verification.faults[0].evidence


def test_pixels_that_were_never_scaled_are_named(yolo, tmp_path: Path):
    wrong = edit_onnx(yolo.file, tmp_path / "wrong.onnx", faults.never_scale)
    assert names(check(wrong, yolo.model)) == ["not scaled"]


def test_two_faults_at_once_are_both_named(yolo, tmp_path: Path):
    wrong = edit_onnx(yolo.file, tmp_path / "one.onnx", faults.swap_channels)
    wrong = edit_onnx(wrong, tmp_path / "two.onnx", faults.roll_classes)
    assert names(check(wrong, yolo.model)) == [BGR, CLASSES]


def test_the_wrong_model_is_told_by_its_shapes(yolo, efficientdet):
    verification = check(yolo.file, efficientdet.model)
    assert verification.faults[0].name == "another model"
