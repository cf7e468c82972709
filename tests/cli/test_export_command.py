"""`scantling export`: what it prints, what it refuses, and the file that it leaves."""

import json
import shutil
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from scantling.checkpoints import Model
from scantling.cli import main
from scantling.exporting import FORMATS
from scantling.specs.metadata import Metadata

pytestmark = pytest.mark.needs("openvino")


@pytest.fixture
def tiny(tmp_path: Path, assets: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the real yolov4-tiny."""
    folder = assets / "weights" / "yolov4-tiny-coco"
    for suffix in ("cfg", "weights"):
        shutil.copy(folder / f"yolov4-tiny.{suffix}", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_export_prints_what_it_wrote_and_what_to_do_next(
    tiny: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["export", "yolov4-tiny.cfg", "--to", "openvino", "--image-size", "96"]) == 0
    told = capsys.readouterr().out
    assert "yolov4-tiny.bin" in told
    assert "96x96" in told
    assert "verified tensors" in told
    assert "scantling predict photo.jpg --model yolov4-tiny.xml" in told
    assert (tiny / "yolov4-tiny.xml").is_file()


def test_export_prints_json_alone(tiny: Path, capsys: pytest.CaptureFixture[str]):
    words = ["export", "yolov4-tiny.cfg", "--to", "openvino", "--image-size", "96"]
    words += ["--set", "check=false", "--set", "any_size=true"]
    assert main([*words, "--batch-size", "dynamic", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["files"] == ["yolov4-tiny.xml", "yolov4-tiny.bin"]
    assert told["form"]["batch"] is None
    assert told["form"]["any_size"]
    assert told["verification"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--to is ''; expected openvino or onnx"),
        (["--to", "openvin"], "Did you mean 'openvino'"),
        (["--to", "openvino", "--batch-size", "many"], "or dynamic"),
        (["--to", "openvino", "--takes", "image", "--set", "any_size=1"], "one at a time"),
        (["--to", "openvino", "--data", "street.yaml"], "--precision int8"),
        (["--to", "openvino", "--max-ap-drop", "0.1"], "--precision int8"),
        (["--to", "openvino", "--precision", "int8"], "--data DATA"),
        (["--to", "onnx", "--precision", "bf16"], "openvino"),
        (["--to", "openvino", "--set", "min_score=2"], "--set min_score is 2.0; expected a number"),
        (
            ["--to", "openvino", "--set", "iou_threshold=nan"],
            "--set iou_threshold is nan; expected",
        ),
    ],
)
def test_export_refuses_what_makes_no_sense(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["export", "yolov4-tiny.cfg", *words]) == 2
    assert message in capsys.readouterr().err


def test_export_ends_with_3_when_the_check_fails(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    usual = FORMATS["openvino"]

    def write(model: Model, metadata: Metadata, path: Path) -> None:
        stale = deepcopy(model.network)
        torch.nn.init.normal_(list(stale.parameters())[-1])
        usual.write(replace(model, network=stale), metadata, path)

    monkeypatch.setitem(FORMATS, "openvino", replace(usual, write=write))
    assert main(["export", "yolov4-tiny.cfg", "--to", "openvino", "--image-size", "96"]) == 3
    assert "yolov4-tiny.xml was not written" in capsys.readouterr().err
    assert not list(tiny.glob("*.xml"))
