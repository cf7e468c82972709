"""Weighted box fusion: against the steps of the paper written out, and by hand."""

import numpy as np
import pytest

from scantling.postprocess import Selection, select
from scantling.postprocess.fusion import Regions, fuse
from scantling.postprocess.suppression import Ranked
from scantling.structures import Candidates


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def as_in_the_paper(
    boxes: np.ndarray, scores: np.ndarray, threshold: float, views: int
) -> list[tuple[float, list[float]]]:
    """Section 3 of the paper, step by step, for boxes of one class in order of their scores."""
    clusters: list[list[int]] = []
    fused: list[np.ndarray] = []
    confidence: list[float] = []
    for number, box in enumerate(boxes):
        overlaps = [overlap(one, box) for one in fused]
        if overlaps and max(overlaps) > threshold:
            place = overlaps.index(max(overlaps))
            clusters[place].append(number)
        else:
            place = len(clusters)
            clusters.append([number])
            fused.append(box)
            confidence.append(0.0)
        own = clusters[place]
        weights = scores[own]
        fused[place] = (boxes[own] * weights[:, None]).sum(0) / weights.sum()
        confidence[place] = weights.sum() / len(own)
    rescaled = [
        score * min(len(own), views) / views
        for score, own in zip(confidence, clusters, strict=True)
    ]
    return sorted(
        ((score, box.tolist()) for score, box in zip(rescaled, fused, strict=True)), reverse=True
    )


def crowded(seed: int, count: int, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes about a few objects, with classes and scores, best first."""
    rng = np.random.default_rng(seed)
    objects = rng.uniform(0, 400, (6, 2))
    sides = rng.uniform(40, 200, (6, 2))
    which = rng.integers(0, 6, count)
    corners = objects[which] + rng.normal(0, 10, (count, 2))
    ends = corners + sides[which] * np.exp(rng.normal(0, 0.1, (count, 2)))
    scores = -np.sort(-rng.uniform(0.01, 1, count))
    return (
        np.concatenate([corners, ends], 1).astype(np.float32),
        scores.astype(np.float32),
        rng.integers(0, classes, count),
    )


@pytest.mark.parametrize("seed", range(30))
def test_fusing_many_groups_at_once_equals_one_box_after_the_other(seed: int):
    rng = np.random.default_rng(seed + 100)
    classes, images, views = (int(rng.integers(1, 5)) for _ in range(3))
    threshold = float(rng.uniform(0.3, 0.8))
    made = [crowded(10 * seed + n, int(rng.integers(0, 80)), classes) for n in range(images)]
    image = np.repeat(np.arange(images), [len(one[1]) for one in made])
    boxes, scores, labels = (np.concatenate(part) for part in zip(*made, strict=True))
    ranked = Ranked(boxes, scores, labels, image, image * classes + labels, images)
    regions = Regions(
        np.tile(np.array([[-1e3, -1e3, 1e3, 1e3]], np.float32), (images * views, 1)),
        np.repeat(np.arange(images), views),
    )

    found = fuse(ranked, threshold=threshold, regions=regions)

    for group in range(images * classes):
        own = ranked.group == group
        expected = as_in_the_paper(
            boxes[own].astype(np.float64), scores[own].astype(np.float64), threshold, views
        )
        ours = found.group == group
        order = np.argsort(-found.scores[ours], kind="stable")
        assert len(order) == len(expected)
        for score, box, (true_score, true_box) in zip(
            found.scores[ours][order], found.boxes[ours][order], expected, strict=True
        ):
            assert score == pytest.approx(true_score, abs=1e-6)
            np.testing.assert_allclose(box, true_box, atol=1e-3)
        assert (found.labels[ours] == group % classes).all()
        assert (found.image[ours] == group // classes).all()


def test_two_boxes_become_their_mean_weighted_by_score():
    boxes = np.array([[[0, 0, 100, 100], [10, 0, 110, 100], [300, 300, 350, 350]]], np.float32)
    scores = np.array([[[0.9], [0.3], [0.5]]], np.float32)
    (found,) = select(Candidates(boxes, scores), settings=Selection(merge="wbf"))
    np.testing.assert_allclose(found.boxes, [[2.5, 0, 102.5, 100], [300, 300, 350, 350]], rtol=1e-5)
    assert found.scores.tolist() == pytest.approx([0.6, 0.5])


def test_what_few_of_the_views_that_could_have_shown_it_do_show_counts_for_less():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [90, 90, 100, 100]], np.float32)
    scores = np.array([0.9, 0.7, 0.6], np.float32)
    nothing = np.zeros(3, np.int64)
    ranked = Ranked(boxes, scores, nothing, nothing, nothing, 1)
    whole, left, right = [0, 0, 100, 100], [0, 0, 60, 100], [40, 0, 100, 100]
    views = Regions(np.array([whole, left, left, right], np.float32), np.zeros(4, np.int64))
    fused = fuse(ranked, threshold=0.5, regions=views)
    # three views hold the first object and two show it; two hold the second and one shows it
    assert fused.scores.tolist() == pytest.approx([0.8 * 2 / 3, 0.6 / 2])
    alone = fuse(ranked, threshold=0.5)
    assert alone.scores.tolist() == pytest.approx([0.8, 0.6])


def test_a_box_beyond_the_edge_is_held_by_the_views_at_that_edge():
    boxes = np.array([[-30, 10, 10, 30]], np.float32)
    zero = np.zeros(1, np.int64)
    views = Regions(np.array([[0, 0, 100, 100], [50, 0, 100, 100]], np.float32), zero.repeat(2))
    ranked = Ranked(boxes, np.array([0.8], np.float32), zero, zero, zero, 1)
    assert fuse(ranked, threshold=0.5, regions=views).scores.tolist() == pytest.approx([0.8])


def test_boxes_of_different_classes_are_fused_only_if_asked_for():
    boxes = np.array([[[0, 0, 100, 100], [0, 0, 100, 100]]], np.float32)
    scores = np.array([[[0.9, 0], [0, 0.5]]], np.float32)
    apart = select(Candidates(boxes, scores), settings=Selection(merge="wbf"))[0]
    assert apart.labels.tolist() == [0, 1]
    (together,) = select(
        Candidates(boxes, scores), settings=Selection(merge="wbf", class_aware=False)
    )
    assert together.labels.tolist() == [0]
    assert together.scores.tolist() == pytest.approx([0.7])


def test_a_fused_score_must_be_above_the_smallest():
    boxes = np.tile(np.array([[[0, 0, 10, 10]]], np.float32), (1, 2, 1))
    scores = np.array([[[0.5], [0.4]]], np.float32)
    nothing = np.zeros(2, np.int64)
    views = Regions(np.tile(np.array([[0, 0, 10, 10]], np.float32), (4, 1)), np.zeros(4, np.int64))
    ranked = Ranked(boxes[0], scores[0, :, 0], nothing, nothing, nothing, 1)
    assert fuse(ranked, threshold=0.5, regions=views).scores.tolist() == pytest.approx([0.225])
    assert len(select(Candidates(boxes, scores), settings=Selection(merge="wbf"))[0]) == 1


def test_nothing_fuses_to_nothing():
    empty = Candidates(np.zeros((2, 0, 4), np.float32), np.zeros((2, 0, 3), np.float32))
    assert [len(one) for one in select(empty, settings=Selection(merge="wbf"))] == [0, 0]
