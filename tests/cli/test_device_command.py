"""`scantling device` measures, writes a profile, and reads it again."""

import json
from pathlib import Path

import pytest

from scantling.cli import main
from scantling.cli.output import USER_CAN_FIX, WORKED


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile, made in no time: one group of chains."""
    path = tmp_path_factory.mktemp("device") / "box.json"
    words = f"device measure --engine torch --threads 1 --minutes 0 --out {path}"
    assert main(words.split()) == WORKED
    return path


def test_show_says_what_was_measured(box: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["device", "show", str(box)]) == WORKED
    text = capsys.readouterr().out
    assert "torch" in text
    assert "GMAC/s" in text


def test_show_predicts_a_model(box: Path, capsys: pytest.CaptureFixture[str]):
    words = ["device", "show", str(box), "--model", "yolov4-tiny", "--image-size", "256", "--json"]
    assert main(words) == WORKED
    facts = json.loads(capsys.readouterr().out)
    model = facts["model"]
    assert model["seconds_low"] <= model["seconds"] <= model["seconds_high"]
    assert model["memory"] > 0
    assert facts["engine"] == "torch"


def test_show_flags_a_profile_of_another_version(
    box: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    content = json.loads(box.read_text())
    content["engine_version"] = "0.0.1\x1b[2J"
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content))
    assert main(["device", "show", str(other)]) == WORKED
    shown = capsys.readouterr()
    assert "was measured with torch 0.0.1" in shown.err
    assert "\x1b" not in shown.err + shown.out


def test_analyze_takes_a_profile_for_its_roofline(box: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["analyze", "yolov4-tiny", "--device-profile", str(box), "--json"]) == WORKED
    assert json.loads(capsys.readouterr().out)


def test_measure_refuses_a_file_that_exists(box: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["device", "measure", "--out", str(box)]) == USER_CAN_FIX
    assert "--overwrite" in capsys.readouterr().err


def test_measure_wants_a_json_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["device", "measure", "--out", str(tmp_path / "box.txt")]) == USER_CAN_FIX
    assert ".json" in capsys.readouterr().err


def test_show_refuses_what_is_no_profile(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "box.json"
    path.write_text("{}")
    assert main(["device", "show", str(path)]) == USER_CAN_FIX
    assert "device measure" in capsys.readouterr().err
