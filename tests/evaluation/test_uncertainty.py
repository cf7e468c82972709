"""The interval of an AP difference: as a bootstrap of whole images has it, and of nothing."""

import math

import numpy as np
import pytest

from scantling.evaluation import (
    DetectionTable,
    GroundTruth,
    choose_protocol,
    compare_metrics,
    compute_metrics,
    describe_images,
    evaluate_coco,
)

IMAGES, EACH = 60, 4
COCO = choose_protocol("coco")


def tables(jitter: float, seed: int) -> tuple[GroundTruth, DetectionTable]:
    """Objects of two classes, and detections that are off by some pixels, with random scores."""
    rng = np.random.default_rng(1)
    count = IMAGES * EACH
    boxes = np.concatenate([rng.uniform(0, 400, (count, 2)), rng.uniform(20, 60, (count, 2))], 1)
    labels, index = rng.integers(0, 2, count), np.repeat(np.arange(IMAGES), EACH)
    none, names, images = np.zeros(count, np.bool_), ("a", "b"), tuple(range(IMAGES))
    truth = GroundTruth(names, (1, 2), images, boxes, labels, index, none, none, np.ones(count))
    rng = np.random.default_rng(seed)
    moved = boxes + jitter * rng.standard_normal(boxes.shape)
    moved[:, 2:] = np.maximum(moved[:, 2:], 1)
    return truth, DetectionTable(moved, rng.random(count), labels, index)


def ap(truth: GroundTruth, found: DetectionTable, drawn: np.ndarray) -> float:
    """AP on images that were drawn with replacement."""
    rows = [np.flatnonzero(truth.image_index == image) for image in drawn]
    hits = [np.flatnonzero(found.image_index == image) for image in drawn]
    which, place = np.concatenate(rows), np.repeat(np.arange(len(drawn)), list(map(len, rows)))
    again = GroundTruth(
        truth.names, truth.category_ids, tuple(range(len(drawn))), truth.boxes[which],
        truth.labels[which], place, truth.crowd[which], truth.difficult[which], truth.areas[which],
    )  # fmt: skip
    chosen = found.take(np.concatenate(hits))
    index = np.repeat(np.arange(len(drawn)), list(map(len, hits)))
    table = DetectionTable(chosen.boxes, chosen.scores, chosen.labels, index)
    return evaluate_coco(again, table).stats["AP"]


def test_the_interval_is_that_of_a_bootstrap_of_images():
    (truth, first), (_, second) = tables(3, 2), tables(6, 3)
    found = compare_metrics(*(compute_metrics(truth, one, COCO) for one in (first, second)))
    assert found is not None
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, IMAGES, IMAGES) for _ in range(60)]
    spread = np.std([ap(truth, first, draw) - ap(truth, second, draw) for draw in draws])
    assert found.lost == pytest.approx(
        evaluate_coco(truth, first).stats["AP"] - evaluate_coco(truth, second).stats["AP"]
    )
    assert 0.6 < found.error / (1.96 * spread) < 1.6
    assert str(found).startswith(f"AP lost {found.lost:.4f} ± {found.error:.4f} (95 %) of")


def test_a_model_loses_nothing_against_itself_and_one_image_says_nothing():
    truth, found = tables(3, 2)
    metrics = compute_metrics(truth, found, COCO)
    same = compare_metrics(metrics, metrics)
    assert (same.lost, same.error) == (0, 0)
    first = truth.image_index == 0
    columns = (truth.boxes, truth.labels, truth.image_index, truth.crowd, truth.difficult)
    alone = GroundTruth(
        truth.names, truth.category_ids, (0,), *(column[first] for column in columns),
        truth.areas[first],
    )  # fmt: skip
    one = compute_metrics(alone, found.take(found.image_index == 0), COCO)
    assert math.isnan(compare_metrics(one, one).error)
    assert "±" not in str(compare_metrics(one, one))


def test_it_is_said_how_many_images_were_calibrated_on():
    assert describe_images(64, None) == "64 labelled images"
    assert describe_images(1, 0) == "1 labelled image, none of them calibrated on"
    assert describe_images(1280, 1000) == "1,280 labelled images, 1,000 of them calibrated on"
