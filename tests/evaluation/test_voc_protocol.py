"""VOC's and darknet's average precision, against plain loops and a published sample."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from random_tables import plain_iou, random_tables

from scantling.errors import InvalidValue
from scantling.evaluation import DetectionTable, GroundTruth, evaluate_darknet, evaluate_voc
from scantling.evaluation.voc import average_precision


def plain_ap(right: list[bool], objects: int, points: int) -> float:
    """AP by loops: the highest precision at each recall or beyond."""
    recall = [sum(right[: place + 1]) / objects for place in range(len(right))]
    precision = [sum(right[: place + 1]) / (place + 1) for place in range(len(right))]

    def highest(wanted: float) -> float:
        return max((p for r, p in zip(recall, precision, strict=True) if r >= wanted), default=0.0)

    if points:
        return sum(highest(step / (points - 1)) for step in range(points)) / points
    return sum(highest(hit / objects) for hit in range(1, sum(right) + 1)) / objects


def plain_voc(
    truth: GroundTruth,
    found: DetectionTable,
    label: int,
    *,
    iou: float,
    inclusive: bool,
    darknet: bool,
) -> tuple[list[bool], int]:
    """Which detections of a class are right, best first, by loops; and how many objects count."""
    taken: set[int] = set()
    right = []
    order = sorted(range(len(found)), key=lambda place: -found.scores[place])
    for place in order:
        if found.labels[place] != label:
            continue
        overlaps = [
            (
                plain_iou(
                    found.boxes[place].tolist(),
                    truth.boxes[one].tolist(),
                    crowd=bool(truth.crowd[one]),
                    inclusive=inclusive,
                ),
                one,
            )
            for one in range(len(truth))
            if truth.labels[one] == label and truth.image_index[one] == found.image_index[place]
        ]
        fits = [(v, one) for v, one in overlaps if (v > iou if darknet else v >= iou)]
        if darknet:
            fits = [pair for pair in fits if not truth.ignored[pair[1]]] or fits
        best = max(fits, key=lambda pair: (pair[0], -pair[1]), default=None)
        if best is not None and truth.ignored[best[1]]:
            continue
        right.append(best is not None and best[1] not in taken)
        if best is not None:
            taken.add(best[1])
    return right, int(((truth.labels == label) & ~truth.ignored).sum())


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 11, 101]), st.booleans())
def test_voc_average_precision_equals_plain_loops(seed: int, points: int, inclusive: bool):
    truth, found = random_tables(seed)
    ours = evaluate_voc(truth, found, points=points, iou=0.45, inclusive=inclusive)
    every = []
    for label in range(len(truth.names)):
        right, objects = plain_voc(
            truth, found, label, iou=0.45, inclusive=inclusive, darknet=False
        )
        assert (ours.objects[label], ours.true_positives[label]) == (objects, sum(right))
        assert ours.false_positives[label] == len(right) - sum(right)
        if objects:
            every.append(plain_ap(right, objects, points))
            assert ours.ap[label] == pytest.approx(every[-1], abs=1e-12)
        else:
            assert math.isnan(ours.ap[label])
    assert ours.mean_ap == pytest.approx(np.mean(every) if every else -1, abs=1e-12)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 11, 101]))
def test_darknet_average_precision_equals_plain_loops(seed: int, points: int):
    truth, found = random_tables(seed)
    ours = evaluate_darknet(truth, found, points=points, iou=0.5, min_score=0.2)
    every = []
    for label in range(len(truth.names)):
        kept = found.take(found.scores > 0.2)
        right, objects = plain_voc(truth, kept, label, iou=0.5, inclusive=False, darknet=True)
        every.append(plain_ap(right, objects, points) if objects else 0.0)
    if not ours.objects.any():
        assert np.isnan(ours.ap).all()
        assert ours.mean_ap == -1
        return
    assert ours.ap.tolist() == pytest.approx(every, abs=1e-12)
    assert ours.mean_ap == pytest.approx(np.mean(every), abs=1e-12)


@pytest.fixture(scope="module")
def sample(assets: Path) -> tuple[GroundTruth, DetectionTable]:
    """Seven images of one class, whose figures have been published."""
    folder = assets / "refs" / "voc_ap_sample"
    files = sorted((folder / "groundtruths").glob("*.txt"))

    def rows(kind: str) -> np.ndarray:
        return np.array(
            [
                [index, *map(float, line.split()[1:])]
                for index, file in enumerate(files)
                for line in (folder / kind / file.name).read_text().splitlines()
                if line.strip()
            ]
        )

    objects, detections = rows("groundtruths"), rows("detections")
    none, zeros = np.zeros(len(objects), np.bool_), np.zeros(len(objects), np.int64)
    index = objects[:, 0].astype(np.int64)
    ids = tuple(file.stem for file in files)
    truth = GroundTruth(
        ("object",), (0,), ids, objects[:, 1:], zeros, index, none, none, np.ones(len(objects))
    )
    labels = np.zeros(len(detections), np.int64)
    where = detections[:, 0].astype(np.int64)
    return truth, DetectionTable(detections[:, 2:], detections[:, 1], labels, where)


def test_the_published_sample_has_its_published_11_point_figure(sample):
    truth, found = sample
    result = evaluate_voc(truth, found, points=11, iou=0.3, inclusive=True)
    assert round(100 * result.mean_ap, 2) == 26.84
    assert result.ap.tolist() == [result.mean_ap]


def test_the_published_sample_has_its_published_area(sample):
    # published as 24.56, the sum of products of figures cut to four decimals; exactly it is:
    exact = 1 / 15 * 1 + 1 / 15 * 2 / 3 + 4 / 15 * 3 / 7 + 1 / 15 * 7 / 23
    truth, found = sample
    ours = evaluate_voc(truth, found, points=0, iou=0.3, inclusive=True).mean_ap
    assert ours == pytest.approx(exact, abs=1e-15)
    assert 100 * ours == pytest.approx(24.56, abs=0.01)


def one_object(**flags: bool) -> GroundTruth:
    """A box of 10 × 10 in one image, of class `a`; class `b` has nothing."""
    return GroundTruth(
        ("a", "b"),
        (1, 2),
        ("x",),
        np.array([[0.0, 0, 10, 10]]),
        np.zeros(1, np.int64),
        np.zeros(1, np.int64),
        np.zeros(1, np.bool_),
        np.array([flags.get("difficult", False)]),
        np.array([100.0]),
    )


def of_class_a(*boxes: list[float]) -> DetectionTable:
    """Detections with falling scores."""
    zeros = np.zeros(len(boxes), np.int64)
    return DetectionTable(
        np.array(boxes, np.float64), np.linspace(0.9, 0.5, len(boxes)), zeros, zeros
    )


def test_an_overlap_of_just_the_threshold_is_enough_for_voc_but_not_for_darknet():
    half = of_class_a([0, 0, 10, 5])
    assert evaluate_voc(one_object(), half).ap[0] == 1
    assert evaluate_darknet(one_object(), half).ap[0] == 0


def test_a_class_without_objects_counts_in_the_mean_of_darknet_alone():
    exact = of_class_a([0, 0, 10, 10])
    assert evaluate_voc(one_object(), exact).mean_ap == 1
    assert evaluate_darknet(one_object(), exact).mean_ap == 0.5


def test_a_second_detection_of_an_object_is_wrong():
    twice = of_class_a([0, 0, 10, 10], [0, 0, 10, 10])
    result = evaluate_voc(one_object(), twice)
    assert (result.true_positives[0], result.false_positives[0]) == (1, 1)


def test_a_detection_of_a_difficult_object_counts_neither_way():
    result = evaluate_voc(one_object(difficult=True), of_class_a([0, 0, 10, 10]))
    assert (result.objects[0], result.true_positives[0], result.false_positives[0]) == (0, 0, 0)
    assert result.mean_ap == -1


def test_one_point_of_recall_is_refused():
    with pytest.raises(InvalidValue, match="11 and 101"):
        evaluate_voc(one_object(), of_class_a([0, 0, 10, 10]), points=1)


def test_a_recall_of_three_tenths_reaches_the_point_at_three_tenths():
    # 3 of 10 found, all right: precision 1 at 0, .1, .2 and .3
    assert average_precision(np.ones(3, np.bool_), 10, points=11) == pytest.approx(4 / 11)
