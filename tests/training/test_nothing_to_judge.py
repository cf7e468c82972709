"""A run on nothing is refused; one that cannot be judged still writes its best weights."""

import csv
import json
from pathlib import Path

import pytest
from small import SETTINGS, words, write_cfg, write_set

from scantling.cli import main
from scantling.datasets.readers import list_splits
from scantling.training import EpochDone, open_run
from scantling.training.resolve import parse_settings

FAST = {**SETTINGS, "epochs": 2, "shapes.range": 1, "loader.workers": 0}


@pytest.mark.parametrize("empty", ["train", "val"])
def test_a_split_without_objects_ends_a_run_before_it_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], empty: str
):
    data = write_set(tmp_path / "set", images=4)
    (tmp_path / "set" / "labels" / empty).rename(tmp_path / "set" / "labels" / f"{empty}-old")
    options = [str(write_cfg(tmp_path)), "--data", str(data), "--out", str(tmp_path / "run")]
    assert main(["train", *options, "--device", "cpu", *words(FAST)]) == 2
    told = capsys.readouterr().err
    assert f"E115 the split {empty!r} has 4 images and not one object" in told
    assert f"'{tmp_path / 'set' / 'labels' / f'{empty}-old'}'" in told
    assert not (tmp_path / "run").exists()


def test_a_validation_split_of_difficult_objects_alone_has_no_ap_and_a_best(tmp_path: Path):
    data = write_voc(write_set(tmp_path / "set", images=4))
    assert list_splits(data) == ("train", "val")
    run = open_run(
        write_cfg(tmp_path),
        data,
        settings=parse_settings([f"{key}={value}" for key, value in FAST.items()]),
        device="cpu",
        out=tmp_path / "run",
        cache=tmp_path / "cache",
    )
    epochs = [event for event in run.events() if isinstance(event, EpochDone)]
    assert [event.is_best for event in epochs] == [True, False]
    assert [event.row["AP"] for event in epochs] == [None, None]
    assert run.folder.best.exists()
    rows = [json.loads(line) for line in run.folder.metrics.read_text().splitlines()]
    assert rows[1]["AP50"] is None
    with (run.folder.path / "metrics.csv").open() as file:
        assert [row["AP"] for row in csv.DictReader(file)] == ["", ""]
    assert "There was no object to judge it by" in run.folder.report.read_text()


def write_voc(data: Path) -> Path:
    """The same drawings as VOC; every object of `val` is difficult."""
    folder = data.parent / "voc"
    for part in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / part).mkdir(parents=True)
    for split in ("train", "val"):
        stems = []
        for image in sorted((data.parent / "images" / split).iterdir()):
            stem = f"{split}{image.stem}"
            stems.append(stem)
            image.rename(folder / "JPEGImages" / f"{stem}.png")
            box = "<bndbox><xmin>9</xmin><ymin>9</ymin><xmax>30</xmax><ymax>30</ymax></bndbox>"
            hard = f"<difficult>{int(split == 'val')}</difficult>"
            objects = "".join(
                f"<object><name>{name}</name>{hard}{box}</object>" for name in ("disc", "square")
            )
            size = "<size><width>64</width><height>64</height></size>"
            text = f"<annotation><filename>{stem}.png</filename>{size}{objects}</annotation>"
            (folder / "Annotations" / f"{stem}.xml").write_text(text)
        (folder / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(stems))
    return folder
