"""Some classes alone, and thresholds by class: as `params.catIds` of pycocotools, or by hand."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from coco_oracle import by_pycocotools

from scantling import Selection
from scantling.errors import InvalidData, InvalidValue, UnknownName
from scantling.evaluation import evaluate, evaluate_results
from scantling.inference import Predictor
from scantling.specs import InputSpec
from scantling.structures import Candidates

IDS = (3, 7, 9, 21, 44)  # of the classes, with gaps
NAMES = ("cat", "dog", "3", "cow", "ant")  # of the last there is no object
SIZE = 160


def boxes_of(rng: np.random.Generator, count: int) -> list[list[float]]:
    corners, sides = rng.uniform(0, 100, (count, 2)), rng.uniform(8, 60, (count, 2))
    return np.concatenate([corners, sides], axis=1).round(1).tolist()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], Path, list[Any]]:
    """Labels of eight images and detections near and far: paths and content of both."""
    rng = np.random.default_rng(7)
    folder = tmp_path_factory.mktemp("coco")
    images, annotations, results = [], [], []
    for image in range(8):
        name = f"{image}.png"
        cv2.imwrite(str(folder / name), np.full((SIZE, SIZE, 3), image, np.uint8))
        images.append({"id": image + 5, "file_name": name, "height": SIZE, "width": SIZE})
        for box in boxes_of(rng, 9):
            kind = int(rng.integers(0, 4))
            row = {"image_id": image + 5, "category_id": IDS[kind], "bbox": box}
            area, crowd = box[2] * box[3], int(rng.random() < 0.1)
            annotations.append({**row, "area": area, "iscrowd": crowd, "id": len(annotations) + 1})
            near = (np.array(box) + rng.normal(0, 2, 4)).clip(1, 120).round(1).tolist()
            found = IDS[int(rng.integers(0, 5))] if rng.random() < 0.3 else IDS[kind]
            score = round(float(rng.random()), 3)
            results.append({**row, "category_id": found, "bbox": near, "score": score})
    categories = [{"id": own, "name": name} for own, name in zip(IDS, NAMES, strict=True)]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "labels.json").write_text(json.dumps(document))
    (folder / "results.json").write_text(json.dumps(results))
    return folder / "labels.json", document, folder / "results.json", results


@pytest.mark.parametrize("names", [["dog"], ["cow", "cat"], [2, "ant", "dog"], ["3"]])
def test_coco_is_that_of_pycocotools_with_these_category_ids(names: list[str | int], data: Any):
    labels, document, results, rows = data
    evaluation = evaluate_results(results, labels, classes=names)
    labelled = [name if isinstance(name, int) else NAMES.index(name) for name in names]
    judge = by_pycocotools(document, rows, catIds=[IDS[label] for label in labelled])
    stats = [-1.0 if value is None else value for value in evaluation.stats.values()]
    assert stats == judge.stats.tolist()
    chosen = tuple(name for label, name in enumerate(NAMES) if label in labelled)
    assert evaluation.metrics.truth.names == chosen
    assert evaluation.protocol_line.endswith(f"of these classes alone: {', '.join(chosen)}")
    whole = evaluate_results(results, labels)
    assert {**whole.per_class, **evaluation.per_class} == whole.per_class
    assert evaluation.metrics.confusion.counts.shape == (len(chosen) + 1,) * 2


@pytest.mark.parametrize("protocol", ["voc07", "voc12", "darknet"])
def test_the_mean_of_another_protocol_is_over_these_classes(protocol: str, data: Any):
    labels, _, results, _ = data
    whole = evaluate_results(results, labels, protocol=protocol)
    some = evaluate_results(results, labels, protocol=protocol, classes=["cow", "ant", "dog"])
    ap = [whole.per_class[name] for name in ("dog", "cow")]
    # darknet counts a class without objects as 0
    count = 3 if protocol == "darknet" else 2
    assert some.stats["mAP"] == pytest.approx(sum(ap) / count, abs=1e-12)


@pytest.mark.parametrize("protocol", ["coco", "voc12", "darknet"])
def test_thresholds_by_class_leave_out_what_is_below(protocol: str, data: Any, tmp_path: Path):
    labels, _, results, rows = data
    least = {"dog": 0.0, "3": 0.7}
    kept = [
        row for row in rows if row["score"] >= least.get(NAMES[IDS.index(row["category_id"])], 0.2)
    ]
    (tmp_path / "kept.json").write_text(json.dumps(kept))
    settings: dict[str, Any] = {"protocol": protocol}
    found = evaluate_results(results, labels, min_score=0.2, class_scores=least, **settings)
    by_hand = evaluate_results(tmp_path / "kept.json", labels, min_score=0.0, **settings)
    assert found.stats == by_hand.stats
    assert len(found.detections) == len(kept) < len(rows)
    assert "scores from 0.2 (dog 0, 3 0.7)" in found.protocol_line


def test_classes_that_are_not_there_or_have_no_object_are_refused(data: Any):
    labels, _, results, _ = data
    with pytest.raises(UnknownName, match="Did you mean 'cow'"):
        evaluate_results(results, labels, classes=["cwo"])
    with pytest.raises(InvalidValue, match="from 0 to 4"):
        evaluate_results(results, labels, classes=[5])
    for nothing in ([], "cow"):
        with pytest.raises(InvalidValue, match="one or more"):
            evaluate_results(results, labels, classes=nothing)
    with pytest.raises(InvalidData, match="not one object of 'ant'"):
        evaluate_results(results, labels, classes=["ant"])
    with pytest.raises(UnknownName, match="class of the data"):
        evaluate_results(results, labels, class_scores={"hen": 0.5})
    with pytest.raises(InvalidValue, match="class_scores of cow"):
        evaluate_results(results, labels, class_scores={"cow": 1.5})


class FoundBefore:
    """An engine that finds the rows of a results file: the grey of an image is its place."""

    name, precision, description = "rows", "fp32", "rows"
    whole_images = in_background = False
    streams, size_divisor = 1, None
    image_size = (SIZE, SIZE)

    def __init__(self, rows: list[Any], order: list[int]) -> None:
        self.rows, self.order = rows, order

    def new_batch(self, images: int, image_size: tuple[int, int] | None = None) -> Any:
        return np.zeros((images, *(image_size or self.image_size), 3), np.uint8)

    def submit(self, images: Any) -> Any:
        from scantling.engines import Ready

        own = [row for row in self.rows if row["image_id"] == int(images[0, 0, 0, 0]) + 5]
        boxes = np.array([row["bbox"] for row in own], np.float32)
        boxes[:, 2:] += boxes[:, :2]
        scores = np.zeros((1, len(own), len(NAMES)), np.float32)
        for place, row in enumerate(own):
            scores[0, place, self.order.index(IDS.index(row["category_id"]))] = row["score"]
        return Ready(Candidates(boxes[None], scores))

    def close(self) -> None:
        pass


def predictor_of(rows: list[Any], **selection: Any) -> Predictor:
    """Its classes stand in another order than those of the data."""
    order = [3, 0, 4, 1, 2]
    return Predictor(
        FoundBefore(rows, order),  # type: ignore[arg-type]
        tuple(NAMES[label] for label in order),
        input_spec=InputSpec(),
        selection=Selection(min_score=0.001, nms="none", **selection),
    )


def test_a_model_is_judged_by_these_classes_or_by_those_that_it_keeps(data: Any):
    labels, document, _, rows = data
    judge = by_pycocotools(document, rows, catIds=[IDS[1], IDS[3]])
    asked = evaluate(predictor_of(rows), labels, classes=["cow", "dog"])
    assert asked.stats["AP"] == pytest.approx(judge.stats[0], abs=2e-3)  # boxes are rounded
    kept = evaluate(predictor_of(rows, classes=("dog", "cow")), labels)
    assert kept.stats == asked.stats
    assert kept.protocol_line == asked.protocol_line
    assert asked.classes is not None
    assert asked.classes.unjudged == ("cat", "ant", "3")
    own = evaluate(predictor_of(rows, class_scores={"cow": 0.6}), labels)
    assert "scores from 0.001 (cow 0.6)" in own.protocol_line
    cows = own.detections.scores[own.detections.labels == NAMES.index("cow")]
    assert cows.min() > 0.6
    assert (own.detections.scores < 0.1).any()


def test_a_renamed_class_may_be_one_that_does_not_count(data: Any):
    labels, _, _, rows = data
    predictor = predictor_of(rows)
    predictor.names = tuple("calf" if name == "cow" else name for name in predictor.names)
    renamed = {"cow": "calf"}
    dogs = evaluate(predictor, labels, classes=["dog"], rename_classes=renamed)
    assert dogs.stats == evaluate(predictor, labels, classes=["dog"]).stats
    cows = evaluate(predictor, labels, classes=["cow"], rename_classes=renamed)
    assert cows.stats == evaluate(predictor_of(rows), labels, classes=["cow"]).stats
    with pytest.raises(UnknownName, match="class of the data"):
        evaluate(predictor, labels, classes=["dog"], rename_classes={"hen": "calf"})


def test_a_selection_that_keeps_no_class_of_the_data_is_refused(data: Any):
    labels, _, _, rows = data
    predictor = predictor_of(rows, classes=("ant",))
    predictor.names = tuple("hen" if name == "ant" else name for name in predictor.names)
    with pytest.raises(InvalidData, match="none of the classes that the model's selection keeps"):
        evaluate(predictor, labels, known_classes_only=True)


def test_the_images_of_a_data_set_stay_all(data: Any):
    labels, _, results, _ = data
    some = evaluate_results(results, labels, classes=["dog"]).metrics.truth
    assert some.image_ids == evaluate_results(results, labels).metrics.truth.image_ids
    assert some.category_ids == (IDS[1],)
