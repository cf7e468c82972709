"""Real weights on real images find what OpenCV's own engine finds, under its protocol."""

import json
from pathlib import Path
from typing import Any

import pytest

import scantling
from scantling.cli import main

NETWORKS = {
    "yolov4-tiny@416": "yolov4-tiny-coco/yolov4-tiny",
    "yolo-fastest-1.1-xl@320": "yolo-fastest-1.1-coco/yolo-fastest-1.1-xl",
    "yolo-fastest-1.1@320": "yolo-fastest-1.1-coco/yolo-fastest-1.1",
}
MIN_SCORE = 0.25
SCORE, PIXELS = 0.005, 1.0  # how far a score, and an edge, may be apart


def reference(real_assets: Path, network: str) -> dict[str, list[dict[str, Any]]]:
    """What OpenCV found, by image."""
    path = real_assets / "refs" / "opencv_dnn" / "detections.json"
    found: dict[str, list[dict[str, Any]]] = json.loads(path.read_text())[network]
    return found


def unmatched(
    expected: list[dict[str, Any]], found: list[tuple[str, float, tuple[float, ...]]]
) -> tuple[list[dict[str, Any]], list[tuple[str, float, tuple[float, ...]]]]:
    """What of each side the other lacks, but for scores at the very threshold.

    `found` holds (name, score, (left, top, width, height)); each answers for one reference only.
    """
    left, missing = list(found), []
    for one in expected:
        same = [
            other
            for other in left
            if other[0] == one["cls"]
            and abs(other[1] - one["score"]) <= SCORE
            and max(abs(a - b) for a, b in zip(other[2], one["box"], strict=True)) <= PIXELS
        ]
        if same:
            left.remove(same[0])
        elif one["score"] > MIN_SCORE + SCORE:
            missing.append(one)
    return missing, [other for other in left if other[1] > MIN_SCORE + SCORE]


def as_found(
    name: str, score: float, box: tuple[float, ...]
) -> tuple[str, float, tuple[float, ...]]:
    left, top, right, bottom = box
    return name, score, (left, top, right - left, bottom - top)


@pytest.mark.parametrize("network", NETWORKS)
def test_every_reference_detection_is_found_and_nothing_else(network: str, real_assets: Path):
    cfg = real_assets / "weights" / f"{NETWORKS[network]}.cfg"
    predictor = scantling.load(
        cfg,
        weights=cfg.with_suffix(".weights"),
        names=cfg.parent / "coco.names",
        device="cpu",
        image_size=int(network.rpartition("@")[2]),
        resize_mode="stretch",
        selection=scantling.Selection(
            iou_threshold=0.45
        ),  # of the reference; the cfgs say beta_nms=0.6
        clip=False,
    )
    expected = reference(real_assets, network)
    assert len(expected) == 7
    for name, objects in expected.items():
        (path,) = (real_assets / "images").rglob(name)
        found = [as_found(one.name, one.score, one.box) for one in predictor(path)]
        assert unmatched(objects, found) == ([], []), name


def test_the_command_line_finds_the_same(real_assets: Path, capsys: pytest.CaptureFixture[str]):
    cfg = real_assets / "weights" / "yolov4-tiny-coco" / "yolov4-tiny.cfg"
    image = real_assets / "images" / "darknet" / "dog.jpg"
    options = ["--image-size", "416", "--device", "cpu", "--json"]
    options += ["--set", "resize_mode=stretch", "--set", "clip=false"]
    names = str(cfg.with_name("coco.names"))

    assert main(["predict", str(image), "--model", str(cfg), "--names", names, *options]) == 0
    detections = json.loads(capsys.readouterr().out)["detections"]
    found = [as_found(one["name"], one["score"], one["box"]) for one in detections]

    assert [one[0] for one in found] == ["dog", "truck", "bicycle", "car"]
    assert unmatched(reference(real_assets, "yolov4-tiny@416")["dog.jpg"], found) == ([], [])


def test_a_difference_would_be_noticed():
    dog = {"cls": "dog", "score": 0.87, "box": [10.0, 20.0, 30.0, 40.0]}
    assert unmatched([dog], [("dog", 0.872, (10.4, 20.0, 30.9, 40.0))]) == ([], [])
    for wrong in (
        ("cat", 0.87, (10.0, 20.0, 30.0, 40.0)),
        ("dog", 0.88, (10.0, 20.0, 30.0, 40.0)),
        ("dog", 0.87, (10.0, 20.0, 31.1, 40.0)),
    ):
        assert unmatched([dog], [wrong]) == ([dog], [wrong])
