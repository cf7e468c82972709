"""scantling verify: what it prints, what it writes, and its exit codes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from scantling.checkpoints import load_model
from scantling.cli import main
from scantling.engines.graphs import make_metadata, to_onnx, write_onnx


@pytest.fixture(scope="module")
def folder(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A right file beside its source."""
    import onnx
    from onnx import helper, numpy_helper

    place = tmp_path_factory.mktemp("verify")
    weights = assets / "weights" / "yolov4-tiny-coco"
    for suffix in ("cfg", "weights"):
        shutil.copy(weights / f"yolov4-tiny.{suffix}", place)
    shutil.copy(weights / "coco.names", place / "yolov4-tiny.names")
    model = load_model(place / "yolov4-tiny.cfg")
    metadata = make_metadata(model, image_size=224, source="yolov4-tiny.cfg")
    write_onnx(to_onnx(model, metadata), place / "right.onnx")
    graph = onnx.load(place / "right.onnx")
    for node in graph.graph.node:
        node.output[:] = ["inner" if name == "boxes" else name for name in node.output]
        node.input[:] = ["inner" if name == "boxes" else name for name in node.input]
    order = numpy_helper.from_array(np.array([1, 0, 3, 2], np.int64), "order")
    graph.graph.initializer.append(order)
    graph.graph.node.append(helper.make_node("Gather", ["inner", "order"], ["boxes"], axis=2))
    onnx.save(graph, place / "wrong.onnx")
    return place


def test_a_right_file_is_the_model_and_exits_with_0(folder: Path, capsys):
    assert main(["verify", str(folder / "right.onnx"), "--engine", "onnxruntime"]) == 0
    printed = capsys.readouterr().out
    assert "It is the model, within what fp32 is allowed: " in printed
    assert "no score differs by more than" in printed
    assert "boxes matched" in printed
    assert json.loads((folder / "verify.json").read_text("utf-8"))["passed"] is True


def test_a_wrong_file_exits_with_3_and_names_the_fault(folder: Path, tmp_path: Path, capsys):
    report = tmp_path / "deep" / "report.json"
    words = ["verify", str(folder / "wrong.onnx"), "--engine", "onnxruntime", "--out", str(report)]
    assert main([*words, "--json"]) == 3
    record = json.loads(capsys.readouterr().out)
    assert record["exit_code"] == 3
    assert [fault["name"] for fault in record["faults"]] == ["boxes transposed"]
    assert json.loads(report.read_text("utf-8"))["faults"] == record["faults"]


@pytest.mark.parametrize(
    "words",
    ["verify x.onnx", "predict x.jpg", "evaluate x.onnx --data x", "device measure --out x.json"],
)
def test_an_engine_that_does_not_exist_is_refused_with_a_hint(words: str, capsys):
    assert main([*words.split(), "--engine", "openvin"]) == 2
    assert "Did you mean 'openvino'?" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_the_users_to_fix(tmp_path: Path, capsys):
    assert main(["verify", str(tmp_path / "none.onnx")]) == 2
    assert "no such file" in capsys.readouterr().err
