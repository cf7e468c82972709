"""The AP of real networks on real images is what OpenCV's own engine and pycocotools make it."""

import contextlib
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from torch import nn

from opencv_references import LIVE, keep_reference, read_reference
from scantling import Predictor, Selection
from scantling.checkpoints import load_model
from scantling.engines import EngineSettings
from scantling.engines.torch_engine import TorchEngine
from scantling.evaluation import evaluate, selection_for
from scantling.images import TTA

NETWORKS = {
    "yolo-fastest-1.1@320": "yolo-fastest-1.1-coco/yolo-fastest-1.1",
    "yolo-fastest-1.1-xl@320": "yolo-fastest-1.1-coco/yolo-fastest-1.1-xl",
    "yolov4-tiny@416": "yolov4-tiny-coco/yolov4-tiny",
}
NEAR = 0.002
# OpenCV's darknet reader drops scores up to 0.2 unless the cfg says `thresh`; its figures in the
# reference were made so.
OPENCV_MIN_SCORE, OPENCV_IOU = 0.2, 0.45
OPENCV_EPSILON = 1e-6  # added to the variance in a norm; darknet and we add 1e-5


@pytest.fixture
def first128(real_assets: Path, tmp_path: Path) -> Path:
    """The first 128 images of COCO's val2017, as a YOLO data set with a list of its own."""
    folder = real_assets / "datasets" / "coco-val2017-first128"
    names = yaml.safe_load((folder / "config.yaml").read_text())["names"]
    path = tmp_path / "first128.yaml"
    path.write_text(yaml.safe_dump({"path": str(folder), "val": "images", "names": names}))
    return path


def published(real_assets: Path, network: str) -> dict[str, float]:
    """AP, AP50 and AP75 of a network as the reference file states them."""
    text = (real_assets / "refs" / "opencv_dnn" / "ap_first128.txt").read_text()
    (line,) = (line for line in text.splitlines() if line.startswith(f"{network} "))
    return {name: float(value) for name, value in re.findall(r"(AP\d*)=([\d.]+)", line)}


def ours(
    cfg: Path, data: Path, *, resize_mode: str, min_score: float, epsilon: float | None = None
) -> dict[str, float]:
    """The same figures, by our evaluation; with another epsilon in every norm if one is given."""
    model = load_model(cfg, names=cfg.parent / "coco.names")
    for module in model.network.modules():
        if epsilon is not None and isinstance(module, nn.BatchNorm2d):
            module.eps = epsilon
    predictor = Predictor(
        TorchEngine(model, EngineSettings(device="cpu")),
        model.names,
        input_spec=model.spec.input.replace(resize_mode=resize_mode),
        selection=Selection(min_score=min_score, iou_threshold=OPENCV_IOU, max_detections=5000),
        clip=False,
    )
    figures = evaluate(predictor, data, batch_size=8).stats
    return {name: figures[name] for name in ("AP", "AP50", "AP75")}


@pytest.mark.parametrize("network", NETWORKS)
def test_ap_is_that_of_opencv_under_its_protocol(network: str, real_assets: Path, first128: Path):
    cfg = real_assets / "weights" / f"{NETWORKS[network]}.cfg"
    got = ours(cfg, first128, resize_mode="stretch", min_score=OPENCV_MIN_SCORE)
    expected = published(real_assets, network)
    assert got["AP"] == pytest.approx(expected["AP"], abs=NEAR)
    assert got["AP50"] == pytest.approx(expected["AP50"], abs=NEAR)


def test_ap_is_that_of_opencv_to_the_last_digit_with_the_epsilon_of_its_norms(
    real_assets: Path, first128: Path
):
    # One box of a class with four objects crosses an IoU of 0.75 by the other epsilon alone.
    network = "yolo-fastest-1.1-xl@320"
    cfg = real_assets / "weights" / f"{NETWORKS[network]}.cfg"
    got = ours(
        cfg, first128, resize_mode="stretch", min_score=OPENCV_MIN_SCORE, epsilon=OPENCV_EPSILON
    )
    assert got == pytest.approx(published(real_assets, network), abs=0.00015)


@pytest.mark.slow
@pytest.mark.parametrize("merge", ["nms", "wbf"])
def test_showing_each_image_several_times_raises_ap(merge: str, real_assets: Path, first128: Path):
    cfg = real_assets / "weights" / f"{NETWORKS['yolov4-tiny@416']}.cfg"
    model = load_model(cfg, names=cfg.parent / "coco.names")
    plain, several = (
        evaluate(
            Predictor(
                TorchEngine(model, EngineSettings(device="cpu")),
                model.names,
                input_spec=model.spec.input,
                selection=replace(selection_for("coco"), merge=kind),
                plan=plan,
            ),
            first128,
            batch_size=4,
        ).stats
        for kind, plan in (("nms", None), (merge, TTA))
    )
    assert several["AP"] > plain["AP"] + 0.01
    assert several["APlarge"] > plain["APlarge"] + 0.03


@pytest.mark.parametrize(
    "network",
    [
        "yolo-fastest-1.1@320",
        pytest.param("yolo-fastest-1.1-xl@320", marks=pytest.mark.slow),
        pytest.param("yolov4-tiny@416", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    "resize_mode", ["letterbox", pytest.param("stretch", marks=pytest.mark.slow)]
)
def test_ap_down_to_the_lowest_scores_is_that_of_opencv(
    network: str, resize_mode: str, real_assets: Path, first128: Path
):
    cfg = real_assets / "weights" / f"{NETWORKS[network]}.cfg"
    images = sorted((real_assets / "datasets" / "coco-val2017-first128" / "images").glob("*.jpg"))
    expected = opencv_ap(cfg, images, resize_mode)
    got = ours(cfg, first128, resize_mode=resize_mode, min_score=0.001, epsilon=OPENCV_EPSILON)
    assert got == pytest.approx(expected, abs=0.0005)


def opencv_ap(cfg: Path, images: list[Path], resize_mode: str) -> dict[str, float]:
    """AP, AP50 and AP75 of what OpenCV 4 finds."""
    name = f"AP {resize_mode} {cfg.stem}"
    if not LIVE:
        return {part: float(value) for part, value in read_reference(name, "").items()}
    found = pycocotools_ap(images, opencv_results(cfg, images, resize_mode, min_score=0.001))
    keep_reference(name, "", {part: np.float64(value) for part, value in found.items()})
    return found


def opencv_results(
    cfg: Path, images: list[Path], resize_mode: str, *, min_score: float
) -> list[dict[str, Any]]:
    """What OpenCV finds, in COCO's result format; image and category ids count from 1 and 0."""
    text = re.sub(r"(?m)^thresh\s*=.*$", "", cfg.read_text())
    text = re.sub(r"(?m)^\[yolo\]", "[yolo]\nthresh=0\nnms_threshold=0", text)
    weights = np.fromfile(cfg.with_suffix(".weights"), np.uint8)
    net = cv2.dnn.readNetFromDarknet(np.frombuffer(text.encode(), np.uint8), weights)
    side = int(re.search(r"(?m)^width\s*=\s*(\d+)", text)[1])
    results = []
    for number, path in enumerate(images, start=1):
        image = cv2.imread(str(path))
        if resize_mode == "letterbox":
            image, (left, top), scale = letterboxed(image, side)
            boxes_of = (side, side)
        else:
            left, top, scale = 0, 0, np.ones(2)
            boxes_of = (image.shape[1], image.shape[0])
        net.setInput(cv2.dnn.blobFromImage(image, 1 / 255, (side, side), swapRB=True))
        rows = np.concatenate(net.forward(net.getUnconnectedOutLayersNames()))
        place, label = np.nonzero(rows[:, 5:] > min_score)
        score = rows[place, 5 + label]
        sides = rows[place, 2:4] * boxes_of / scale
        corners = (rows[place, :2] * boxes_of - (left, top)) / scale - sides / 2
        boxes = np.concatenate([corners, sides], axis=1).astype(np.float64)
        for one in np.unique(label):
            own = np.flatnonzero(label == one)
            kept = cv2.dnn.NMSBoxes(boxes[own].tolist(), score[own].tolist(), 0.0, OPENCV_IOU)
            results += [
                {
                    "image_id": number,
                    "category_id": int(one),
                    "bbox": boxes[row].tolist(),
                    "score": float(score[row]),
                }
                for row in own[np.asarray(kept, np.int64).ravel()]
            ]
    return results


def letterboxed(image: np.ndarray, side: int) -> tuple[np.ndarray, tuple[int, int], np.ndarray]:
    """The image in the middle of a grey square; where it begins, and its scale in x and y."""
    height, width = image.shape[:2]
    longer = max(height, width)
    new_width, new_height = width * side // longer, height * side // longer
    left, top = (side - new_width) // 2, (side - new_height) // 2
    square = np.full((side, side, 3), 128, np.uint8)
    small = cv2.resize(image, (new_width, new_height), interpolation=cv2.INTER_LINEAR)
    square[top : top + new_height, left : left + new_width] = small
    return square, (left, top), np.array([new_width / width, new_height / height])


def pycocotools_ap(images: list[Path], results: list[dict[str, Any]]) -> dict[str, float]:
    """AP, AP50 and AP75 by COCO's own code, from the label files beside the images."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = COCO()
    truth.dataset = {
        "images": [{"id": number} for number, _ in enumerate(images, start=1)],
        "categories": [{"id": label, "name": str(label)} for label in range(80)],
        "annotations": [],
    }
    for number, path in enumerate(images, start=1):
        height, width = cv2.imread(str(path)).shape[:2]
        labels = path.parents[1] / "labels" / f"{path.stem}.txt"
        rows = labels.read_text().splitlines() if labels.exists() else []
        for row in rows:
            label, x, y, w, h = map(float, row.split())
            box = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
            truth.dataset["annotations"].append(
                {
                    "id": len(truth.dataset["annotations"]) + 1,
                    "image_id": number,
                    "category_id": int(label),
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(("AP", "AP50", "AP75"), evaluation.stats[:3].tolist(), strict=True))
