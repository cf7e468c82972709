"""Faults inside graphs are named in every format, under metadata that knows nothing of them."""

from pathlib import Path

import pytest
import wrong_graphs as wrong
from wrong_graphs import write_wrong

from scantling.checkpoints import Model
from scantling.specs.metadata import GraphForm
from scantling.verification import verify

SIZE = 128
BGR, TWICE, TRANSPOSED = "channels swapped (BGR)", "scaled twice", "boxes transposed"
DECODING, STALE, CLASSES = "wrong decode scheme", "stale weights", "classes reordered"
STRETCHED = "stretched instead of letterboxed"

FAULTS = [
    (wrong.swapped_channels, BGR),
    (wrong.scaled_twice, TWICE),
    (wrong.transposed_boxes, TRANSPOSED),
    (wrong.other_decoding, DECODING),
    (wrong.older_weights, STALE),
    (wrong.rolled_classes, CLASSES),
]


def named(file: Path, model: Model) -> list[str]:
    found = verify(file, against=model, cache=file.parent)
    assert not found.passed
    return [fault.name for fault in found.faults]


@pytest.mark.parametrize(("suffix", "change", "name"), [(".xml", *fault) for fault in FAULTS])
def test_a_fault_in_a_graph_is_named_in_other_formats(
    small: Model, tmp_path: Path, suffix, change, name
):
    file = write_wrong(small, tmp_path / f"wrong{suffix}", change, image_size=SIZE)
    assert named(file, small) == [name]


@pytest.mark.parametrize(
    ("suffix", "gives"), [(".onnx", "candidates"), (".xml", "raw"), (".xml", "detections")]
)
def test_a_graph_that_stretches_images_itself_is_named(small: Model, tmp_path: Path, suffix, gives):
    form = GraphForm(takes="image", gives=gives)
    changes = {"form": form, "image_size": SIZE, "min_score": 0.01}
    file = write_wrong(small, tmp_path / f"wrong{suffix}", wrong.stretched, **changes)
    assert named(file, small) == [STRETCHED]


@pytest.mark.parametrize(
    ("change", "name"),
    [(wrong.swapped_channels, BGR), (wrong.rolled_classes, CLASSES), (wrong.older_weights, STALE)],
)
def test_a_fault_in_a_graph_with_nms_is_named(small: Model, tmp_path: Path, change, name):
    form = GraphForm(gives="detections")
    changes = {"form": form, "image_size": SIZE, "min_score": 0.01}
    file = write_wrong(small, tmp_path / "wrong.onnx", change, **changes)
    assert named(file, small) == [name]


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
@pytest.mark.parametrize(
    ("change", "name"), [(wrong.swapped_channels, BGR), (wrong.older_weights, STALE)]
)
def test_a_fault_is_told_from_rounding(small: Model, tmp_path: Path, precision, change, name):
    file = tmp_path / "wrong.xml"
    write_wrong(small, file, change, image_size=SIZE, precision=precision)
    assert named(file, small) == [name]
