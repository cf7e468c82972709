"""What an evaluation says in tables, figures and its page, hand-made cases beside real ones."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from scantling.datasets.dataset import Dataset, LabelledImage, make_objects
from scantling.evaluation import (
    PROTOCOLS,
    DetectionTable,
    Evaluation,
    class_table,
    compute_metrics,
    draw_evaluated_image,
    draw_figures,
    make_ground_truth,
    render_report,
    save_report,
    summarise,
)
from scantling.evaluation.evaluation import RECALLS, ap_by_size, mean_precision
from scantling.evaluation.image_drawing import MISSED, RIGHT, WRONG

NAMES = ("cat", "dog <b>", "cow")
SIZE = 200  # side of every image


def found(rows: list[tuple[int, int, float, tuple[float, float, float, float]]]) -> DetectionTable:
    """Detections from (image, label, score, left top width height)."""
    return DetectionTable(
        np.array([row[3] for row in rows], np.float64).reshape(-1, 4),
        np.array([row[2] for row in rows], np.float64),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[0] for row in rows], np.int64),
    )


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Two images: a small cat and a large dog in the first, a large cat and a crowd of dogs in the
    second."""
    paths = [tmp_path / f"{number}.png" for number in range(2)]
    for path in paths:
        cv2.imwrite(str(path), np.full((SIZE, SIZE, 3), 90, np.uint8))
    boxes = [[10, 10, 30, 30], [50, 50, 190, 190], [20, 20, 140, 140], [0, 150, 200, 200]]
    return Dataset(
        tmp_path / "data.json",
        "coco",
        "val",
        NAMES,
        (1, 2, 3),
        tuple(LabelledImage(path, place, (SIZE, SIZE)) for place, path in enumerate(paths)),
        make_objects(boxes, [0, 1, 0, 1], [0, 0, 1, 1], crowd=[False, False, False, True]),
    )


def evaluated(dataset: Dataset, detections: DetectionTable, protocol: str = "coco") -> Evaluation:
    judged = compute_metrics(make_ground_truth(dataset), detections, PROTOCOLS[protocol])
    return Evaluation(dataset, len(dataset), judged, None, {"model": "by hand"})


# The small cat is found, the dog is taken for a cat, the large cat is missed.
SOME = [(0, 0, 0.9, (10, 10, 20, 20)), (0, 0, 0.8, (50, 50, 140, 140))]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_row_of_a_class_says_what_became_of_its_objects(dataset: Dataset, protocol: str):
    columns, rows = class_table(evaluated(dataset, found(SOME), protocol).metrics)
    cat, dog = (dict(zip(columns, row, strict=True)) for row in rows)
    assert (cat["class"], cat["objects"]) == ("cat", 2)
    assert (cat["threshold"], cat["precision"], cat["recall"]) == (0.9, 1.0, 0.5)
    assert cat["F1"] == pytest.approx(2 / 3)
    assert cat["AP"] == pytest.approx(0.5, abs=0.05)
    assert (dog["class"], dog["objects"], dog["AP"]) == ("dog <b>", 1, 0)
    assert dog["threshold"] is None  # there is none from which on it is found


def test_ap_by_size_counts_the_objects_of_each_size(dataset: Dataset):
    values, counts = ap_by_size(evaluated(dataset, found(SOME)).metrics)
    assert counts == {"small": 1, "medium": 0, "large": 2}
    assert values["small"] == pytest.approx(1)
    assert values["medium"] is None


def test_the_mean_of_precision_over_recall_is_the_ap(dataset: Dataset):
    judged = evaluated(dataset, found(SOME)).metrics
    precision = mean_precision(judged)
    assert precision.shape == (10, len(RECALLS))
    assert precision[0].mean() == pytest.approx(judged.stats["AP50"])
    assert precision.mean() == pytest.approx(judged.stats["AP"])
    other = mean_precision(evaluated(dataset, found(SOME), "voc12").metrics)
    assert other.shape == (1, len(RECALLS))
    assert other[0] == pytest.approx(precision[0])


def test_an_image_shows_what_was_found_missed_and_wrong(dataset: Dataset):
    detections = found([*SOME, (1, 1, 0.7, (5, 5, 30, 30))])
    evaluation = evaluated(dataset, detections)
    assert evaluation.metrics.best_score == 0.9
    first, second = (draw_evaluated_image(evaluation, index) for index in range(2))
    assert first is not None
    assert second is not None
    assert has_color(first, RIGHT)  # the small cat
    assert has_color(first, MISSED)  # the dog: what was taken for a cat scores too little
    assert not has_color(first, WRONG)
    assert has_color(second, MISSED)
    assert not has_color(second[150:], MISSED)  # the crowd is not drawn


def has_color(image: np.ndarray, color: tuple[int, int, int]) -> bool:
    return bool((image == color).all(axis=2).sum() > 20)


def test_the_page_shows_the_worst_images_and_escapes_every_name(dataset: Dataset):
    evaluation = evaluated(dataset, found(SOME))
    figures = draw_figures(evaluation)
    page = render_report(evaluation, figures)
    assert page.count("data:image/png") == len(figures) == 4
    assert page.count("data:image/jpeg") == 3  # both are not perfect, one is good
    assert page.index("1.png: 0 found, 1 missed, 0 wrong") < page.index("0.png: 1 found")
    assert "dog <b>" not in page
    assert "dog &lt;b&gt;" in page


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("empty", ["detections", "objects", "both"])
def test_a_report_without_detections_or_objects_is_whole(
    empty: str, protocol: str, dataset: Dataset, tmp_path: Path
):
    detections = found(SOME if empty == "objects" else [])
    if empty != "detections":
        dataset = Dataset(**{**dataset.__dict__, "objects": dataset.objects.take(slice(0, 0))})
    for image in dataset.images:
        image.path.unlink()  # nor an image
    evaluation = evaluated(dataset, detections, protocol)
    folder = save_report(evaluation, tmp_path / "out").parent
    summary = json.loads((folder / "summary.json").read_text(), parse_constant=pytest.fail)
    assert summary == json.loads(json.dumps(summarise(evaluation)))
    assert set(summary["stats"].values()) <= ({None, 0} if empty == "detections" else {None})
    if empty != "detections":
        assert summary["best_f1"] == {"score": None, "f1": None, "iou": 0.5}
        assert all(row["AP"] is None for row in summary["classes"])
        page = (folder / "report.html").read_text()
        assert "No object counts in what was evaluated" in page
        assert not re.search(r"-1\.0|\bnan\b", re.sub(r"data:image[^\"]*", "", page))
    assert "</html>" in (folder / "report.html").read_text()
    assert json.loads((folder / "results.json").read_text()) == [] or empty == "objects"
