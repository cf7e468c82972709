"""`scantling data anchors`: how well a model's anchors fit, and which would fit better."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from scantling.cli import main
from scantling.specs import find_spec


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Forty boxes of 400-pixel images: half 20x40 and half 200x100, give or take a pixel."""
    rng = np.random.default_rng(0)
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    for number in range(20):
        grey = np.full((400, 400, 3), 90, np.uint8)
        assert cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), grey)
        rows = [
            f"0 0.5 0.5 {(width + rng.uniform(-1, 1)) / 400} {(height + rng.uniform(-1, 1)) / 400}"
            for width, height in ((20, 40), (200, 100))
        ]
        (tmp_path / "labels" / f"{number}.txt").write_text("\n".join(rows))
    (tmp_path / "data.yaml").write_text(f"path: {tmp_path}\ntrain: images\nnames: [thing]\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_json(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    assert main(["data", "anchors", "data.yaml", "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_two_sizes_of_boxes_are_found(desk: Path, capsys: pytest.CaptureFixture[str]):
    found = run_json(capsys, "--count", "2", "--image-size", "200")
    assert found["boxes"] == 40
    assert found["own"] is None
    # the input is half as large as the images
    assert np.allclose(found["fitted"]["sizes"], [[10, 20], [100, 50]], atol=1)
    assert found["fitted"]["recall"] == 1
    assert found["fitted"]["fitness"] > 0.95


@pytest.mark.parametrize("fitness", ["ratio", "iou"])
def test_a_model_is_judged_by_its_own_anchors(
    fitness: str, desk: Path, capsys: pytest.CaptureFixture[str]
):
    words = ("--model", "yolov4-tiny", "--set", f"fitness={fitness}", "--set", "generations=30")
    found = run_json(capsys, *words)
    own = find_spec("yolov4-tiny").head.anchors
    assert {tuple(size) for size in found["own"]["sizes"]} == {
        pair for level in own for pair in level
    }
    assert found["image_size"] == [416, 416]
    assert len(found["fitted"]["sizes"]) == len(found["own"]["sizes"])
    assert found["fitted"]["fitness"] > found["own"]["fitness"]
    assert run_json(capsys, *words) == found
    assert run_json(capsys, *words, "--set", "seed=1")["fitted"] != found["fitted"]


def test_the_anchors_are_printed_as_a_cfg_has_them_and_drawn(
    desk: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["--count", "2", "--image-size", "200x200", "--out", "anchors.png"]
    assert main(["data", "anchors", "data.yaml", *words]) == 0
    out, err = capsys.readouterr()
    assert "anchors = 10,20, 100,50\n" in out
    assert "best possible recall 100.00%" in out
    assert "20 images, 40 objects" in err
    picture = cv2.imread("anchors.png")
    assert picture is not None
    assert picture.std() > 5


def test_a_cfg_is_judged_as_well(desk: Path, capsys: pytest.CaptureFixture[str]):
    layers = "[convolutional]\nfilters=18\nsize=1\nactivation=linear\n"
    head = "[yolo]\nmask=0,1,2\nanchors=10,20, 30,30, 50,50\nclasses=1\nnum=3\n"
    Path("own.cfg").write_text(f"[net]\nwidth=64\nheight=64\nchannels=3\n{layers}{head}")
    found = run_json(capsys, "--model", "own.cfg", "--set", "generations=5")
    assert found["own"]["sizes"] == [[10, 20], [30, 30], [50, 50]]
    assert found["image_size"] == [64, 64]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--count"),
        (["--count", "2"], "--image-size"),
        (["--count", "2", "--model", "yolov4-tiny"], "--model in its place"),
        (["--model", "yolov4-tini"], "Did you mean 'yolov4-tiny'?"),
        (["--count", "99", "--image-size", "64"], "from 1 to"),
        (["--count", "2", "--image-size", "64", "--set", "threshold=0"], "threshold"),
        (["--count", "2", "--image-size", "64", "--split", "none"], "none"),
    ],
)
def test_a_mistake_gets_one_message_and_code_2(
    words: list[str], message: str, desk: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["data", "anchors", "data.yaml", *words]) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert not out
