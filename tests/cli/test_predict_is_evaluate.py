"""`predict` and `evaluate` are one pipeline: what is saved never changes what is found."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from scantling.cli import main
from scantling.datasets.readers import read_dataset
from scantling.evaluation import evaluate_results
from scantling.specs.classes import COCO_CATEGORY_IDS, COCO_NAMES, canonical_name

AS_EVALUATE = ["--min-score", "0.001", "--iou-threshold", "0.6"]
AS_EVALUATE += ["--set", "max_detections=300", "--set", "nms=greedy"]


@pytest.fixture(scope="module")
def data(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four labelled photographs, four times as large as they were."""
    folder = tmp_path_factory.mktemp("data")
    given = {"path": str(assets / "datasets" / "coco-val2017-first128"), "val": "images"}
    (folder / "coco.yaml").write_text(yaml.safe_dump({**given, "names": list(COCO_NAMES)}))
    source = read_dataset(folder / "coco.yaml")
    objects = source.objects
    images, annotations = [], []
    for number in range(4):
        name = source.images[number].path.name
        picture = cv2.imread(str(source.images[number].path))
        height, width = (4 * side for side in picture.shape[:2])
        large = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / name), large, [cv2.IMWRITE_JPEG_QUALITY, 85])
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        here = np.flatnonzero(objects.image_index == number)
        for box, label in zip(4 * objects.boxes[here], objects.labels[here], strict=True):
            left, top, right, bottom = box.tolist()
            side = [left, top, right - left, bottom - top]
            more = {"id": len(annotations), "area": side[2] * side[3], "iscrowd": 0}
            category = COCO_CATEGORY_IDS[COCO_NAMES[label]]
            annotations.append({"image_id": number, "category_id": category, "bbox": side, **more})
    categories = [{"id": id_, "name": name} for name, id_ in COCO_CATEGORY_IDS.items()]
    labels = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "labels.json").write_text(json.dumps(labels))
    return folder


@pytest.mark.parametrize(("size", "save"), [("416", "jsonl"), ("96", "images,jsonl")])
def test_what_predict_saves_has_the_ap_that_evaluate_says(
    assets: Path, data: Path, tmp_path: Path, capsys, size: str, save: str
):
    cfg = assets / "weights" / "yolov4-tiny-coco" / "yolov4-tiny.cfg"
    run = ["--engine", "torch", "--image-size", size]
    assert main(["evaluate", str(cfg), "--data", str(data / "labels.json"), *run, "--json"]) == 0
    evaluated = json.loads(capsys.readouterr().out)
    command = ["predict", str(data), "--model", str(cfg), *run, *AS_EVALUATE]
    assert main([*command, "--save", save, "--out", str(tmp_path / "out")]) == 0
    listed = json.loads((data / "labels.json").read_text())["images"]
    ids = {one["file_name"]: one["id"] for one in listed}
    results = []
    for line in (tmp_path / "out" / "detections.jsonl").read_text().splitlines():
        record = json.loads(line)
        assert record["reduced"] is False
        for found in record["detections"]:
            left, top, right, bottom = found["box"]
            results.append(
                {
                    "image_id": ids[Path(record["source"]).name],
                    "category_id": COCO_CATEGORY_IDS[canonical_name(found["name"])],
                    "bbox": [left, top, right - left, bottom - top],
                    "score": found["score"],
                }
            )
    (tmp_path / "results.json").write_text(json.dumps(results))
    judged = evaluate_results(tmp_path / "results.json", data / "labels.json")
    assert evaluated["stats"]["AP"] > (0.2 if size == "416" else 0)
    assert judged.metrics.stats == evaluated["stats"]
