"""`scantling data stylize`: what it prints, and what it refuses."""

import json
from pathlib import Path

import pytest

from labelled import make_dataset, write_picture
from scantling.cli import main
from scantling.datasets.writers import write_dataset


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A YOLO data set of two images, and a style, in a working folder of its own."""
    monkeypatch.chdir(tmp_path)
    made = make_dataset(tmp_path / "made", [(0, 0, [1, 2, 30, 40]), (1, 1, [5, 5, 50, 60])])
    write_dataset({"train": made}, tmp_path / "yolo", to="yolo")
    write_picture(tmp_path / "style.png", grey=200)
    return tmp_path / "yolo"


def test_stylize_prints_how_many_images_it_changed(
    source: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["data", "stylize", str(source), "out", "--styles", "style.png"]) == 0
    out, err = capsys.readouterr()
    assert out == "train: 1 of 2 images changed\nWritten to out, from 1 style image\n"
    assert "yolo train: 2 images" in err
    assert Path("out/data.yaml").is_file()


def test_stylize_prints_json_and_nothing_else(source: Path, capsys: pytest.CaptureFixture[str]):
    arguments = ["--styles", "style.png", "--set", "share=1", "--split", "train", "--json"]
    assert main(["data", "stylize", str(source), "out", *arguments]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["format"], facts["folder"], facts["stylized"]) == ("yolo", "out", {"train": 2})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--styles", "nothing"], "no style images"),
        (["--styles", "style.png", "--set", "share=2"], "share"),
        (["--styles", "style.png", "--set", "strength=-1"], "strength"),
        (["--styles", "style.png", "--split", "val"], "no split 'val'"),
        ([], "--styles"),
    ],
)
def test_stylize_refuses_what_cannot_be_and_writes_nothing(
    arguments: list[str], message: str, source: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["data", "stylize", str(source), "out", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not Path("out").exists()
