"""`scantling info` and `scantling convert`, there and back."""

import json
import shutil
from pathlib import Path

import pytest

from scantling.cli import main


@pytest.fixture
def tiny(tmp_path: Path, assets: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the official yolov4-tiny."""
    folder = assets / "weights" / "yolov4-tiny-coco"
    for suffix in ("cfg", "weights"):
        shutil.copy(folder / f"yolov4-tiny.{suffix}", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_info_counts_the_parameters_of_a_named_model(capsys: pytest.CaptureFixture[str]):
    assert main(["info", "yolov4-tiny", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["parameters"] == sum(facts["parts"].values()) == 6_056_606
    assert list(facts["parts"]) == ["backbone", "neck", "head"]
    assert facts["image_size"] == [416, 416]
    assert facts["strides"] == [16, 32]
    assert facts["spec"]["name"] == "yolov4-tiny"
    assert main(["info", "yolov4-tiny"]) == 0
    assert "6,056,606" in capsys.readouterr().out


def test_info_reads_a_cfg_without_weights(assets: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["info", str(assets / "cfg" / "yolov4-csp.cfg"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["strides"] == [8, 16, 32]


def test_convert_goes_there_and_back_without_a_change(
    tiny: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["convert", "yolov4-tiny.cfg", "new.safetensors", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"written": ["new.safetensors"]}
    assert main(["info", "new.safetensors", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["names"]) == 80
    assert main(["convert", "new.safetensors", "back.weights"]) == 0
    assert Path("back.weights").read_bytes() == Path("yolov4-tiny.weights").read_bytes()


def test_convert_does_not_replace_a_file_unless_told(
    tiny: Path, capsys: pytest.CaptureFixture[str]
):
    Path("new.safetensors").write_text("mine")
    assert main(["convert", "yolov4-tiny.cfg", "new.safetensors"]) == 2
    assert Path("new.safetensors").read_text() == "mine"
    assert "new.safetensors" in capsys.readouterr().err
    assert main(["convert", "yolov4-tiny.cfg", "new.safetensors", "--overwrite"]) == 0
    assert Path("new.safetensors").stat().st_size > 20_000_000
