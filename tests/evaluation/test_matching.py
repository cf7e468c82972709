"""Matching, curves, confusion and the ranking of images, against plain loops."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from random_tables import plain_iou, random_tables

from scantling.evaluation import (
    DetectionTable,
    GroundTruth,
    compute_curves,
    confusion_matrix,
    evaluate_coco,
    match_detections,
    matching as matching_module,
    rank_images,
)

seeds = st.integers(0, 2**32 - 1)


def plain_pairs(
    truth: GroundTruth, found: DetectionTable, least: float
) -> list[tuple[float, int, int]]:
    """(IoU, detection, object) of one image, whatever the classes."""
    return [
        (overlap, place, one)
        for place in range(len(found))
        for one in range(len(truth))
        if truth.image_index[one] == found.image_index[place]
        for overlap in [
            plain_iou(
                found.boxes[place].tolist(), truth.boxes[one].tolist(), crowd=bool(truth.crowd[one])
            )
        ]
        if overlap >= least and overlap > 0
    ]


def plain_match(
    truth: GroundTruth, found: DetectionTable, least: float
) -> tuple[list[int], list[bool]]:
    """The object of each detection, or -1, and whether it is ignored; best score first."""
    objects, ignored = [-1] * len(found), [False] * len(found)
    taken: set[int] = set()
    every = plain_pairs(truth, found, least)
    for place in sorted(range(len(found)), key=lambda place: -found.scores[place]):
        own = [
            (overlap, one)
            for overlap, which, one in every
            if which == place and truth.labels[one] == found.labels[place]
        ]
        free = [pair for pair in own if not truth.ignored[pair[1]] and pair[1] not in taken]
        if free:
            objects[place] = max(free)[1]
            taken.add(objects[place])
        else:
            ignored[place] = any(truth.ignored[one] for _, one in own)
    return objects, ignored


@settings(max_examples=300, deadline=None, derandomize=True)
@given(seeds)
def test_matching_equals_plain_loops(seed: int):
    truth, found = random_tables(seed)
    ours = match_detections(truth, found, iou=0.4)
    objects, ignored = plain_match(truth, found, 0.4)
    assert ours.matched_object.tolist() == objects
    assert ours.ignored.tolist() == ignored


@settings(max_examples=150, deadline=None, derandomize=True)
@given(seeds)
def test_matching_finds_as_much_as_coco_does(seed: int):
    truth, found = random_tables(seed)
    curves = compute_curves(truth, found, match_detections(truth, found))
    recall = evaluate_coco(truth, found, ious=(0.5,)).recall[0, :, 0, -1]
    ours = [
        curve.recall[-1] if len(curve.scores) else 0.0 if curve.objects else -1.0
        for curve in curves.classes
    ]
    expected = np.where([curve.objects > 0 for curve in curves.classes], ours, -1.0)
    assert recall.tolist() == expected.tolist()


def test_pairs_are_the_same_when_computed_in_small_parts(monkeypatch: pytest.MonkeyPatch):
    truth, found = random_tables(11)
    whole = matching_module.overlapping_pairs(truth, found, min_iou=0.1, class_agnostic=True)
    monkeypatch.setattr(matching_module, "_AT_ONCE", 3)
    parts = matching_module.overlapping_pairs(truth, found, min_iou=0.1, class_agnostic=True)
    assert len(whole) > 10
    for field in dataclasses.fields(whole):
        assert np.array_equal(getattr(whole, field.name), getattr(parts, field.name))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(seeds)
def test_the_curve_at_a_threshold_equals_counting_above_it(seed: int):
    truth, found = random_tables(seed)
    curve = compute_curves(truth, found, match_detections(truth, found)).overall
    for threshold in (0.0, 0.3, 0.5, 0.75, 1.1):
        kept = found.above(threshold)
        matching = match_detections(truth, kept)
        hits, wrong = int(matching.true_positive.sum()), int(matching.false_positive.sum())
        objects = int((~truth.ignored).sum())
        precision, recall, f1 = (float(value) for value in curve.at(np.array(threshold)))
        assert precision == (hits / (hits + wrong) if hits + wrong else 1.0)
        assert recall == (hits / objects if objects else 0.0)
        assert f1 == pytest.approx(2 * hits / max(1, hits + wrong + objects))


def test_the_best_threshold_has_the_highest_f1_of_all():
    truth, found = random_tables(11)
    curve = compute_curves(truth, found, match_detections(truth, found)).overall
    assert curve.best_f1 == max(curve.f1) > 0
    assert float(curve.at(np.array(curve.best_score))[2]) == curve.best_f1


def test_without_detections_there_is_no_best_threshold():
    truth, found = random_tables(11)
    none = found.above(2.0)
    curves = compute_curves(truth, none, match_detections(truth, none))
    assert (curves.overall.best_score, curves.overall.best_f1) == (None, 0.0)
    assert len(curves.classes) == len(truth.names)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(seeds)
def test_the_confusion_matrix_equals_plain_loops(seed: int):
    truth, found = random_tables(seed)
    ours = confusion_matrix(truth, found, min_score=0.3, iou=0.4)
    kept = found.above(0.3)
    every = plain_pairs(truth, kept, 0.4)
    size = len(truth.names)
    counts = np.zeros((size + 1, size + 1), np.int64)
    taken_found: set[int] = set()
    taken_truth: set[int] = set()
    for _, place, one in sorted(
        every,
        key=lambda pair: (
            -pair[0],
            truth.labels[pair[2]] != kept.labels[pair[1]],
            -kept.scores[pair[1]],
            pair[1],
            pair[2],
        ),
    ):
        if place not in taken_found and one not in taken_truth and not truth.ignored[one]:
            counts[truth.labels[one], kept.labels[place]] += 1
            taken_found.add(place)
            taken_truth.add(one)
    for one in range(len(truth)):
        if one not in taken_truth and not truth.ignored[one]:
            counts[truth.labels[one], size] += 1
    beside = {place for _, place, one in every if truth.ignored[one]}
    for place in range(len(kept)):
        if place not in taken_found and place not in beside:
            counts[size, kept.labels[place]] += 1
    assert ours.counts.tolist() == counts.tolist()


def test_confused_classes_are_named_the_most_frequent_first():
    truth, found = random_tables(3, flags=False)
    same = found.take(np.zeros(0, np.int64))
    names = ("cat", "dog", "fox")
    truth = dataclasses.replace(
        truth,
        names=names,
        category_ids=(1, 2, 3),
        image_ids=("x", "y", "z"),
        boxes=np.tile([0.0, 0, 9, 9], (3, 1)),
        labels=np.array([0, 0, 2]),
        image_index=np.array([0, 1, 2]),
        crowd=np.zeros(3, np.bool_),
        difficult=np.zeros(3, np.bool_),
        areas=np.full(3, 81.0),
    )
    same = DetectionTable(truth.boxes, np.full(3, 0.9), np.array([1, 1, 0]), truth.image_index)
    confusion = confusion_matrix(truth, same)
    assert confusion.most_confused() == [("cat", "dog", 2), ("fox", "cat", 1)]


def test_images_are_ranked_by_f1_then_by_what_was_found():
    names, boxes = ("a",), np.array([[0.0, 0, 9, 9], [20, 0, 9, 9], [0, 0, 9, 9], [0, 0, 9, 9]])
    index = np.array([0, 0, 1, 3])
    truth = GroundTruth(
        names,
        (1,),
        ("two", "one", "empty", "missed"),
        boxes,
        np.zeros(4, np.int64),
        index,
        np.zeros(4, np.bool_),
        np.zeros(4, np.bool_),
        np.full(4, 81.0),
    )
    alarm = np.array([[60.0, 0, 9, 9]])
    found = DetectionTable(
        np.concatenate([boxes[:3], alarm, alarm]),
        np.array([0.9, 0.8, 0.7, 0.6, 0.1]),
        np.zeros(5, np.int64),
        np.array([0, 0, 1, 3, 2]),
    )
    ranked = rank_images(truth, found, match_detections(truth, found), min_score=0.5)
    assert [truth.image_ids[one.image_index] for one in ranked] == ["two", "one", "empty", "missed"]
    assert [one.f1 for one in ranked] == [1, 1, 1, 0]
    assert (ranked[-1].false_negatives, ranked[-1].false_positives) == (1, 1)
