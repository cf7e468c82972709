"""`scantling benchmark` on small models: what it prints, what it writes, what it refuses."""

import json
import re
from pathlib import Path

import pytest

from scantling.cli import main
from small_models import write_cfg, write_model

FAST = ["--seconds", "0.2", "--device", "cpu"]
FAST += ["--set", "trials=2", "--set", "isolated=false", "--set", "threads=1"]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a small model, and a `.cfg` without weights."""
    write_model(tmp_path / "small.safetensors")
    write_cfg(tmp_path / "bare.cfg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCANTLING_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_tables_are_printed_and_files_are_saved(desk: Path, capsys: pytest.CaptureFixture[str]):
    command = ["benchmark", "small.safetensors", "--engine", "torch", "--batch-size", "1,2", *FAST]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert "file → boxes, ms" in out
    assert "Measured with 4 drawn JPEG files of 480×640" in out
    assert out.count("small.safetensors") >= 6  # three tables of two rows
    assert re.search("Only [12] samples a row", err)  # one that was disturbed does not count
    assert "Saved in runs/benchmark; report.html" in out
    assert (desk / "runs/benchmark/latency.png").stat().st_size > 1000
    assert not (desk / "runs/benchmark/accuracy.png").exists()


def test_json_is_alone_and_nothing_is_saved(desk: Path, capsys: pytest.CaptureFixture[str]):
    command = [
        "benchmark",
        "bare.cfg",
        "--set",
        "fresh_weights=true",
        "--engine",
        "torch",
        *FAST,
        "--json",
    ]
    assert main(command) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["fresh_weights"] is True
    assert plain["report"] is None
    assert [row["engine"] for row in plain["rows"]] == ["torch"]
    latency = plain["rows"][0]["latency"]
    assert latency["count"] == (1 if latency["disturbed"] == 1 else 2)
    assert not (desk / "runs").exists()


def test_exit_code_says_that_nothing_could_be_measured(
    desk: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["benchmark", "absent.safetensors", "--engine", "torch", *FAST]) == 2
    assert "absent.safetensors" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "hint"),
    [
        ("--engine", "openvin", "Did you mean 'openvino'"),
        ("--precision", "fp23", "Did you mean 'fp32'"),
        ("--batch-size", "0", "whole numbers from 1"),
        ("--set", "threads=many", "whole numbers from 1"),
        ("--image-size", "big", "384x640"),
        ("--images", "absent", "image files, or folders"),
    ],
)
def test_what_cannot_be_is_refused_with_a_hint(
    desk: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, hint: str
):
    assert main(["benchmark", "small.safetensors", option, value]) == 2
    assert hint in capsys.readouterr().err


def test_nothing_is_measured_without_a_model(capsys: pytest.CaptureFixture[str]):
    assert main(["benchmark"]) == 2
    assert "MODEL" in capsys.readouterr().err
