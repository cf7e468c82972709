"""Anchors found for boxes whose answer is known."""

from pathlib import Path

import numpy as np
import pytest

from scantling.datasets.anchors import box_sizes, fit_anchors, judge_anchors
from scantling.datasets.dataset import Dataset, LabelledImage, make_objects
from scantling.errors import InvalidValue

CLUSTERS = np.array([[10, 14], [40, 30], [120, 150]], np.float32)


def boxes(count: int = 300, *, spread: float = 0.05) -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = CLUSTERS[rng.integers(0, 3, count)]
    return (centres * rng.normal(1, spread, (count, 2))).astype(np.float32)


@pytest.mark.parametrize("fitness", ["iou", "ratio"])
def test_clusters_are_found(fitness):
    threshold = 4.0 if fitness == "ratio" else 0.25
    found = fit_anchors(
        boxes(), 3, rng=np.random.default_rng(0), fitness=fitness, threshold=threshold
    )
    np.testing.assert_allclose(found.sizes, CLUSTERS, rtol=0.05)
    assert found.recall == 1.0


def test_the_genetic_search_improves_on_k_means():
    rough = boxes(400, spread=0.5).clip(2)
    plain = fit_anchors(rough, 3, rng=np.random.default_rng(1), generations=0)
    better = fit_anchors(rough, 3, rng=np.random.default_rng(1), generations=300)
    assert better.fitness > plain.fitness


def test_the_same_seed_finds_the_same_anchors():
    one, other = (fit_anchors(boxes(), 3, rng=np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one.sizes, other.sizes)


def test_fitness_and_recall_of_two_boxes_by_hand():
    pair = np.array([[10, 20], [100, 100]], np.float32)
    anchor = np.array([[20, 20]], np.float32)
    by_ratio = judge_anchors(pair, anchor, fitness="ratio", threshold=4)
    assert (by_ratio.recall, by_ratio.fitness) == pytest.approx((0.5, 0.25))  # ½ fits; ⅕ does not
    by_overlap = judge_anchors(pair, anchor, fitness="iou", threshold=0.2)
    assert (by_overlap.recall, by_overlap.fitness) == pytest.approx((0.5, 0.25))  # ½; 1/25


def test_boxes_are_measured_on_the_network_input():
    images = (LabelledImage(Path("a.jpg"), 1, (200, 400)), LabelledImage(Path("b.jpg"), 2, None))
    objects = make_objects(
        [[0, 0, 40, 20], [0, 0, 1, 1], [0, 0, 9, 9], [0, 0, 50, 50]],
        [0, 0, 0, 0],
        [0, 0, 0, 1],
        crowd=[False, False, True, False],
    )
    dataset = Dataset(Path("x"), "yolo", "train", ("a",), (0,), images, objects)
    assert box_sizes(dataset, (100, 100)).tolist() == [[10, 5]]


def test_more_anchors_than_boxes_is_refused():
    with pytest.raises(InvalidValue, match="from 1 to 1, the boxes that differ"):
        fit_anchors(np.ones((9, 2), np.float32), 2, rng=np.random.default_rng(0))
