"""`scantling data convert`: what it prints, and what it refuses."""

import json
from pathlib import Path

import pytest

from labelled import make_dataset
from scantling.cli import main
from scantling.datasets.writers import write_dataset

BOX = [1, 2, 30, 40]


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A COCO folder of two splits with a crowd, in a working folder of its own."""
    monkeypatch.chdir(tmp_path)
    rows = [(0, 0, BOX), (0, 1, [5, 5, 50, 60]), (1, 1, BOX)]
    made = make_dataset(tmp_path / "made", rows, crowd=[1])
    write_dataset({"train": made, "val": made}, tmp_path / "coco", to="coco")
    return tmp_path / "coco"


def test_convert_prints_what_was_read_written_and_dropped(
    source: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["data", "convert", str(source), "out", "--to", "yolo"]) == 0
    out, err = capsys.readouterr()
    assert "coco train: 2 images, 3 objects, 2 classes, 1 crowd" in err
    rows = [line.split() for line in out.splitlines()]
    assert rows[0] == ["split", "images", "objects", "classes", "crowd", "difficult"]
    assert rows[1] == ["train", "2", "3", "2", "1", "0"]
    assert "crowd flags (2): YOLO has no place for them" in out
    assert "Written to out" in out
    assert Path("out/data.yaml").is_file()


def test_convert_prints_json_and_nothing_else(source: Path, capsys: pytest.CaptureFixture[str]):
    arguments = ["--to", "darknet", "--split", "val", "--json"]
    assert main(["data", "convert", str(source), "out", *arguments]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["format"], facts["to"], facts["folder"]) == ("coco", "darknet", "out")
    assert [one["split"] for one in facts["splits"]] == ["val"]
    assert {"what": "crowd flags", "count": 1}.items() <= facts["dropped"][1].items()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["out", "--to", "yollo"], "Did you mean 'yolo'?"),
        (["out", "--to", "yolo", "--set", "image_files=symlnk"], "Did you mean 'symlink'?"),
        (["coco", "--to", "yolo"], "is not empty"),
        (["out", "--to", "yolo", "--split", "vla"], "did you mean 'val'?"),
        (["out", "--to", "yolo", "--set", "format=cocoa"], "Did you mean 'coco'?"),
        (["out", "--to", "yolo", "--splt", "val"], "Did you mean '--split'?"),
    ],
)
def test_convert_refuses_what_it_does_not_know_and_writes_nothing(
    arguments: list[str], message: str, source: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["data", "convert", str(source), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in source.parent.iterdir()) == ["coco", "made"]


def test_the_group_without_a_command_shows_its_commands(capsys: pytest.CaptureFixture[str]):
    assert main(["data"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("convert", "stats", "show"))
    assert main(["data", "convrt"]) == 2
    assert "Did you mean 'convert'?" in capsys.readouterr().err
