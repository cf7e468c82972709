"""`scantling data stats`: tables, JSON and charts."""

import json
from pathlib import Path

import cv2
import pytest

from labelled import make_dataset
from scantling.cli import main
from scantling.datasets.writers import write_dataset


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A VOC folder of two splits; images of 80 × 120 with boxes of 10 × 10 and 40 × 40."""
    rows = [(0, 0, [0, 0, 10, 10]), (0, 1, [20, 20, 60, 60])]
    made = make_dataset(tmp_path / "made", rows, difficult=[0], names=("cat", "dog"))
    write_dataset({"train": made, "val": made}, tmp_path / "voc", to="voc")
    return tmp_path / "voc"


def test_stats_prints_a_table_a_split(source: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["data", "stats", str(source), "--image-size", "60x60"]) == 0
    out = capsys.readouterr().out
    assert out.count("2 images (1 without objects), 2 objects (0 crowd, 1 difficult)") == 2
    assert "120×80 (2)" in out
    assert "in the image: 10 to 40, half below 25; small 50.0%, medium 50.0%, large 0.0%" in out
    assert "on an input of 60×60: 5 to 20, half below 12; small 100.0%" in out


def test_stats_prints_json_of_the_split_that_was_asked_for(
    source: Path, capsys: pytest.CaptureFixture[str]
):
    arguments = ["data", "stats", str(source), "--split", "val", "--image-size", "60", "--json"]
    assert main(arguments) == 0
    (facts,) = json.loads(capsys.readouterr().out)["splits"]
    assert (facts["split"], facts["images"], facts["objects"]) == ("val", 2, 2)
    assert facts["classes"][0] == {
        "name": "cat", "objects": 1, "images": 1, "crowd": 0, "difficult": 1,
    }  # fmt: skip
    assert facts["percentiles"] == [0, 5, 25, 50, 75, 95, 100]
    assert facts["sides"][3] == 25
    assert facts["input_sides"][0] == 5
    assert facts["image_size"] == [60, 60]


def test_stats_draws_charts(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["data", "stats", str(source), "--out", str(tmp_path / "charts.png")]) == 0
    picture = cv2.imread(str(tmp_path / "charts.png"))
    assert picture.shape[1] > 1000
    assert "Saved in" in capsys.readouterr().out
