"""`scantling data show`: a contact sheet on disk."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from labelled import make_dataset
from scantling.cli import main
from scantling.datasets.writers import write_dataset


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A YOLO folder of four images, cats on the first two."""
    monkeypatch.chdir(tmp_path)
    rows = [(place, int(place > 1), [5, 5, 60, 60]) for place in range(4)]
    files = tuple(f"{number}.png" for number in range(4))
    made = make_dataset(tmp_path / "made", rows, files=files)
    write_dataset({"train": made}, tmp_path / "yolo", to="yolo")
    return tmp_path / "yolo"


def test_show_draws_a_sheet_of_the_kind_that_its_suffix_says(
    source: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["data", "show", str(source), "--set", "cell=64"]) == 0
    assert cv2.imread("sheet.png").shape[:2] == (2 * (64 + 18 + 6) + 6, 2 * (64 + 6) + 6)
    assert "yolo train: 4 images, 4 objects" in capsys.readouterr().err
    arguments = ["data", "show", str(source), "--classes", "cat", "--out", "cats.jpg", "--json"]
    assert main([*arguments, "--set", "cell=64"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts == {"written": "cats.jpg", "width": 2 * 70 + 6, "height": 88 + 6}
    assert Path("cats.jpg").read_bytes()[:2] == b"\xff\xd8"


def test_show_gives_the_same_sheet_for_the_same_seed(source: Path):
    sheets = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        arguments = ["--set", f"seed={seed}", "--out", f"{name}.png", "--augment", "darknet"]
        assert main(["data", "show", str(source), "--count", "2", *arguments]) == 0
        sheets[name] = cv2.imread(f"{name}.png")
    assert (sheets["a"] == sheets["b"]).all()
    assert sheets["a"].shape == sheets["c"].shape
    assert np.abs(sheets["a"].astype(int) - sheets["c"]).max() > 0


def test_show_draws_as_a_model_and_recipe_would_be_trained(
    source: Path, capsys: pytest.CaptureFixture[str]
):
    """Mosaic puts several of the one-object images into one; without it each has its own."""
    words = ["data", "show", str(source), "--set", "cell=64", "--set", "image_size=64"]
    words += ["--augment", "yolov4-tiny", "--augment", "small"]
    said, sheets = {}, {}
    for mosaic in (0, 1):
        given = ["--set", f"augment.settings.mosaic={mosaic}", "--out", f"{mosaic}.png"]
        assert main([*words, *given]) == 0
        said[mosaic], sheets[mosaic] = capsys.readouterr().err, cv2.imread(f"{mosaic}.png")
    assert "as yolov4-tiny would be trained, at 64x64" in said[0]
    assert "augment.settings.scale" in said[0]
    assert "(recipe small)" in said[0]
    assert (sheets[0] != sheets[1]).any()


def test_show_takes_a_recipe_alone_and_a_file_of_settings(
    source: Path, capsys: pytest.CaptureFixture[str]
):
    Path("run.toml").write_text('recipe = "small"\nimage_size = 96\nepochs = 6\n')
    words = ["data", "show", str(source), "--count", "1", "--augment", "run.toml"]
    assert main([*words, "--out", "a.png"]) == 0
    err = capsys.readouterr().err
    assert "at 96x96" in err
    assert "close_mosaic 8 → 1" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "augment.settings.mosaic=0"], "beside a model or recipe"),
        (["--augment", "small", "--set", "mosaic=0"], "'augment.settings.mosaic'"),
        (["--augment", "small", "--augment", "cutmix"], "one model and one recipe"),
        (["--classes", "cta"], "Did you mean 'cat'?"),
        (["--augment", "darknat"], "Did you mean 'darknet'?"),
        (["--out", "sheet.xyz"], "such as .png"),
        (["--count", "0"], "count"),
        (["--split", "trian"], "did you mean 'train'?"),
    ],
)
def test_show_refuses_what_it_does_not_know(
    arguments: list[str], message: str, source: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["data", "show", str(source), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(source.parent.glob("sheet.*"))
