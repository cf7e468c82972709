"""scantling data check: what it prints, what it writes, and its exit codes."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from scantling.cli import main

NAMES = ("cat", "dog")


def write_set(folder: Path) -> Path:
    """Two splits of two images without a fault."""
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [cat, dog]\n")
    for number, split in enumerate(("train", "train", "val", "val")):
        rng = np.random.default_rng(number)
        coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (80, 64), interpolation=cv2.INTER_CUBIC)
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / "images" / split / f"p{number}.png"), image)
        label = folder / "labels" / split / f"p{number}.txt"
        label.write_text("0 0.25 0.5 0.25 0.5\n1 0.75 0.5 0.25 0.5\n")
    return folder


def check(folder: Path, *more: str) -> int:
    return main(["data", "check", str(folder), *more])


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SCANTLING_CACHE", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    return write_set(tmp_path / "data")


@pytest.fixture
def spoilt(data: Path) -> Path:
    (data / "labels" / "train" / "p0.txt").write_text("0 0.25 0.5 nan 0.5\n1 0.75 0.5 0.25 0.5\n")
    return data


def test_a_clean_set_passes(data, capsys):
    assert check(data) == 0
    told = capsys.readouterr().out
    assert "train: 2 images, 4 objects, 2 classes" in told
    assert told.endswith("0 errors, 0 warnings.\n")


def test_an_error_fails_and_is_told_with_code_file_line_and_advice(spoilt, capsys):
    assert check(spoilt) == 3
    told = capsys.readouterr().out
    assert "E203 × 1  a number is NaN or infinite. Remove the object or mark it anew." in told
    assert f"{spoilt / 'labels' / 'train' / 'p0.txt'}:1: " in told
    assert "1 error," in told


def test_warnings_fail_only_when_asked_to(data, capsys):
    (data / "labels" / "val" / "p2.txt").write_text("")
    assert check(data) == 0
    assert check(data, "--strict") == 3


def test_json_is_one_document_with_the_exit_code(spoilt, capsys):
    assert check(spoilt, "--json") == 3
    record = json.loads(capsys.readouterr().out)
    assert (record["exit_code"], record["errors"], record["report"]) == (3, 1, None)
    (error,) = [one for one in record["findings"] if one["severity"] == "error"]
    assert (error["code"], error["line"]) == ("E203", 1)


def test_a_split_can_be_named(spoilt, capsys):
    assert check(spoilt, "--split", "val") == 0


def test_a_report_is_written_and_an_older_one_kept(spoilt, tmp_path, capsys):
    out = tmp_path / "report"
    assert check(spoilt, "--out", str(out)) == 3
    assert check(spoilt, "--out", str(out), "--json") == 3
    assert sorted(path.name for path in out.iterdir()) == ["report-2.html", "report.html"]
    assert "E203" in (out / "report.html").read_text("utf-8")
    told = capsys.readouterr().out
    assert str(out / "report.html") in told
    assert json.loads(told.splitlines()[-1])["report"] == str(out / "report-2.html")


def test_objects_are_held_against_the_levels_of_a_model(data, capsys):
    (data / "labels" / "train" / "p0.txt").write_text("0 0.5 0.5 0.01 0.01\n1 0.75 0.5 0.25 0.5\n")
    assert check(data, "--model", "yolov4-tiny", "--json") == 0
    found = json.loads(capsys.readouterr().out)["findings"]
    assert [one["code"] for one in found] == ["W503"]
    assert "416 × 416 input of yolov4-tiny" in found[0]["message"]
    assert check(data, "--model", "yolov4-tiny", "--image-size", "3200", "--json") == 0
    assert json.loads(capsys.readouterr().out)["findings"] == []


def test_a_fast_check_says_what_was_not_looked_at(data, capsys):
    assert check(data, "--fast") == 0
    assert "no image was decoded" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--model", "yolov4-tiney"], "Did you mean 'yolov4-tiny'?"),
        (["--image-size", "416"], "--model beside it"),
        (["--model", "yolov4-tiny", "--image-size", "417"], "multiple"),
        (["--set", "format=yollo"], "Did you mean 'yolo'?"),
        (["--fats"], "--fast"),
    ],
)
def test_misuse_is_told_apart_from_findings(data, capsys, more, message):
    assert check(data, *more) == 2
    assert message in capsys.readouterr().err


def test_names_of_files_steer_no_terminal(data, capsys):
    for folder, suffix in (("images", ".png"), ("labels", ".txt")):
        old = data / folder / "train" / f"p0{suffix}"
        old.rename(old.with_name(f"p\x1b[31m{suffix}"))
    (data / "labels" / "train" / "p\x1b[31m.txt").write_text("")
    check(data)
    told = capsys.readouterr().out
    assert "W221" in told
    assert "\x1b" not in told


def test_the_check_loads_no_torch(data):
    import subprocess

    code = (
        "import sys; from scantling.cli import main;"
        f"code = main(['data', 'check', {str(data)!r}]);"
        "assert 'torch' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
