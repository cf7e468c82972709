"""The demonstration from end to end: seconds of it always, all of it where slow tests are run."""

import json
import shlex
from pathlib import Path

import cv2
import pytest

from scantling.checkpoints import load_model
from scantling.cli import main
from scantling.datasets.readers import read_dataset
from scantling.demo import demo
from scantling.errors import InvalidValue

SHORT = ["--minutes", "0.1", "--set", "count=32"]
FILES = (
    "data/data.yaml",
    "drawings.png",
    "thin.safetensors",
    "run/settings.json",
    "run/metrics.csv",
    "run/report.html",
    "run/best.safetensors",
    "report/report.html",
    "report/summary.json",
)


def check_files(folder: Path, *, pictures: int) -> None:
    for name in FILES:
        assert (folder / name).stat().st_size > 0, name
    drawn = sorted((folder / "pictures" / "images").iterdir())
    assert len(drawn) == pictures
    assert cv2.imread(str(drawn[0])).shape == (192, 256, 3)


def test_the_demonstration_leaves_data_run_report_and_pictures_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", *SHORT]) == 0
    out, err = capsys.readouterr()
    check_files(Path("runs/demo"), pictures=6)
    assert "In runs/demo:" in out
    assert out.startswith("AP50 0.")
    assert "below 0.8: give it more time" in out  # one epoch of 32 pictures teaches nothing
    for stage in ("Drawing", "Training", "Evaluating", "Predicting"):
        assert stage in err
    told = [line.strip() for line in out.splitlines() if line.startswith("  scantling ")]
    assert len(told) == 4
    for line in told[:3]:  # the fourth trains for minutes
        assert main(shlex.split(line)[1:]) == 0, line
    capsys.readouterr()
    assert main([*shlex.split(told[3])[1:], "--epochs", "1", "--batch-size", "16"]) == 0


def test_the_demonstration_prints_json_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["demo", "--out", str(tmp_path / "out"), "--set", "seed=3", "--json", *SHORT]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["stats"].keys() >= {"AP", "AP50"}
    assert Path(record["model"]).is_file()
    names = load_model(record["model"]).names
    assert names == read_dataset(record["data"], split="test").names


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"minutes": 0}, "minutes"),
        ({"minutes": float("inf")}, "minutes"),
        ({"images": 5}, "images"),
    ],
)
def test_a_number_that_is_too_small_is_refused(
    changes: dict[str, float], message: str, tmp_path: Path
):
    with pytest.raises(InvalidValue, match=message):
        demo(tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(InvalidValue, match="empty or not there"):
        demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.slow
def test_two_minutes_teach_it_to_find_most_of_what_is_drawn(tmp_path: Path):
    done = demo(tmp_path / "out")
    assert done.stats["AP50"] > 0.8
    check_files(done.folder, pictures=12)
