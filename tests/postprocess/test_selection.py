"""Which candidates become detections: thresholds, limits, order, and what cannot be used."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from scantling.errors import InvalidValue, UnknownName
from scantling.images.crops import InferencePlan, NetworkInput, TTAView, make_crops
from scantling.inference.pipeline import select_crops
from scantling.postprocess import NMS, Ranked, Selection, rank, select
from scantling.structures import Candidates

PLAIN = Selection(nms="none", min_score=0.0)
APART = np.array([[10 * n, 0, 10 * n + 5, 5] for n in range(8)], np.float32)


def choose(scores: object, settings: Selection, *, boxes: np.ndarray = APART) -> Ranked:
    """Select in one image whose boxes, unless given, all lie apart."""
    array = np.array(scores, np.float32)
    (selected,) = select(Candidates(boxes[None, : len(array)], array[None]), settings=settings)
    return selected


def pairs(selected: Ranked) -> list[tuple[int, int]]:
    """(place of the box, label) of each, in order."""
    return list(zip((selected.boxes[:, 0] // 10).astype(int), selected.labels, strict=True))


def random_candidates(*, images: int, predictions: int, classes: int, seed: int) -> Candidates:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 100, (images, predictions, 2))
    size = rng.uniform(5, 40, (images, predictions, 2))
    boxes = np.concatenate([corner, corner + size], axis=2).astype(np.float32)
    return Candidates(boxes, rng.random((images, predictions, classes)).astype(np.float32) ** 3)


def assert_equal(ours: list[Ranked], others: list[Ranked]) -> None:
    assert len(ours) == len(others)
    for one, other in zip(ours, others, strict=True):
        for name in ("boxes", "scores", "labels"):
            array, expected = getattr(one, name), getattr(other, name)
            assert array.dtype == expected.dtype
            np.testing.assert_array_equal(array, expected)


def test_a_score_must_be_above_the_threshold():
    assert pairs(choose([[0.25], [0.26], [0.1]], replace(PLAIN, min_score=0.25))) == [(1, 0)]


def test_the_best_come_first_whatever_their_class():
    scores = [[0.3, 0.9], [0.6, 0.0], [0.0, 0.5]]
    found = choose(scores, PLAIN)
    assert pairs(found) == [(0, 1), (1, 0), (2, 1), (0, 0)]
    assert found.scores.tolist() == pytest.approx([0.9, 0.6, 0.5, 0.3])


def test_equal_scores_are_in_the_order_of_boxes_then_labels():
    assert pairs(choose([[0.5, 0.5], [0.9, 0.5]], PLAIN)) == [(1, 0), (0, 0), (0, 1), (1, 1)]


def test_with_one_label_a_box_keeps_its_best_class_the_first_of_equals():
    single = replace(PLAIN, multi_label=False)
    assert pairs(choose([[0.3, 0.9, 0.1], [0.5, 0.2, 0.5]], single)) == [(0, 1), (1, 0)]


def test_no_more_than_max_detections_are_kept():
    assert pairs(choose([[0.1], [0.9], [0.5]], replace(PLAIN, max_detections=2))) == [
        (1, 0),
        (2, 0),
    ]


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_max_candidates_are_the_first_in_rank_also_among_equals(limit):
    scores = [[0.5, 0.5], [0.9, 0.5]]
    everything = pairs(choose(scores, PLAIN))
    assert pairs(choose(scores, replace(PLAIN, max_candidates=limit))) == everything[:limit]


def test_max_candidates_counts_per_image():
    candidates = random_candidates(images=3, predictions=50, classes=4, seed=0)
    scores = candidates.scores * np.array([1, 0.0, 1], np.float32)[:, None, None]
    found = select(Candidates(candidates.boxes, scores), settings=replace(PLAIN, max_candidates=7))
    assert [len(one) for one in found] == [7, 0, 7]


def test_a_class_does_not_suppress_another_unless_told_to():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10]], np.float32)
    scores = [[0.9, 0.0], [0.0, 0.8]]
    assert len(choose(scores, Selection(), boxes=boxes)) == 2
    assert len(choose(scores, Selection(class_aware=False), boxes=boxes)) == 1


def test_a_box_with_several_labels_suppresses_itself_when_classes_do_not_count():
    assert pairs(choose([[0.5, 0.9]], Selection(class_aware=False))) == [(0, 1)]


@pytest.mark.parametrize("classes", [1, 31, 32, 80, 257])
def test_every_score_above_the_threshold_is_found_however_many_classes_there_are(classes):
    rng = np.random.default_rng(classes)
    scores = rng.random((300, classes)).astype(np.float32) ** 40
    scores[::5] = 0
    scores[1::5, 0] = np.nan
    scores[2::5, -1] = np.inf
    boxes = np.tile(np.array([[0, 0, 5, 5]], np.float32), (300, 1)) + np.arange(300)[:, None] * 10
    expected = [
        (row, label)
        for row in range(300)
        for label in range(classes)
        if np.isfinite(scores[row, label]) and scores[row, label] > 0.25
    ]
    every = replace(PLAIN, min_score=0.25, max_detections=10**6, max_candidates=10**6)
    found = choose(scores, every, boxes=boxes.astype(np.float32))
    assert sorted(pairs(found)) == expected


@pytest.mark.parametrize("kind", NMS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_no_number_is_left_out_and_its_box_keeps_the_others(kind, bad):
    found = choose([[bad, 0.5], [0.4, bad]], Selection(nms=kind))
    assert pairs(found) == [(0, 1), (1, 0)]


@pytest.mark.parametrize("kind", NMS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_box_with_a_coordinate_that_is_no_number_is_left_out(kind, bad):
    boxes = APART.copy()
    boxes[0, 2] = bad
    assert pairs(choose([[0.9], [0.5]], Selection(nms=kind), boxes=boxes)) == [(1, 0)]


@pytest.mark.parametrize("kind", NMS)
def test_boxes_without_area_do_not_suppress_one_another(kind):
    boxes = np.array([[5, 5, 5, 5], [5, 5, 5, 5], [9, 9, 1, 1], [9, 9, 1, 1]], np.float32)
    found = choose([[0.9], [0.8], [0.7], [0.6]], Selection(nms=kind), boxes=boxes)
    assert found.scores.tolist() == pytest.approx([0.9, 0.8, 0.7, 0.6])


@pytest.mark.parametrize("kind", NMS)
@pytest.mark.parametrize("shape", [(0, 5, 3), (2, 0, 3), (2, 5, 3)])
def test_nothing_above_the_threshold_is_nothing_for_each_image(kind, shape):
    images, predictions, _ = shape
    empty = Candidates(np.zeros((images, predictions, 4), np.float32), np.zeros(shape, np.float32))
    tensors = Candidates(torch.zeros(images, predictions, 4), torch.zeros(shape))
    for candidates in (empty, tensors):
        found = select(candidates, settings=Selection(nms=kind))
        assert [one.boxes.shape for one in found] == [(0, 4)] * images
        assert all(one.labels.dtype == np.int64 for one in found)


@pytest.mark.parametrize("kind", NMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_tensors_of_any_precision_give_what_the_same_numbers_in_arrays_give(kind, dtype):
    made = random_candidates(images=2, predictions=300, classes=5, seed=1)
    boxes, scores = (torch.from_numpy(x).to(dtype) for x in (made.boxes, made.scores))
    arrays = Candidates(boxes.float().numpy(), scores.float().numpy())
    for settings in (Selection(nms=kind), Selection(nms=kind, min_score=0, max_candidates=40)):
        ours = select(Candidates(boxes, scores), settings=settings)
        assert len(ours[0]) > 10
        assert_equal(ours, select(arrays, settings=settings))


def test_tensors_with_bad_numbers_lose_no_good_candidate_to_the_limit():
    made = random_candidates(images=2, predictions=60, classes=3, seed=2)
    made.scores[0, 1::3, 1] = np.nan
    made.scores[0, 2::5, 2] = np.inf
    made.boxes[1, ::4, 3] = np.nan
    tensors = Candidates(torch.from_numpy(made.boxes), torch.from_numpy(made.scores))
    for limit in (1, 5, 30, 200):
        settings = replace(PLAIN, max_candidates=limit)
        ours = select(tensors, settings=settings)
        assert len(ours[0]) == min(limit, 60 * 3 - 20 - 12)
        assert_equal(ours, select(made, settings=settings))


def test_tensors_that_need_a_gradient_are_read_and_left_alone():
    made = random_candidates(images=1, predictions=20, classes=2, seed=3)
    boxes, scores = (torch.from_numpy(x).requires_grad_() for x in (made.boxes, made.scores))
    assert_equal(select(Candidates(boxes, scores)), select(made))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", NMS)
def test_a_gpu_gives_what_the_processor_gives(kind):
    made = random_candidates(images=3, predictions=4000, classes=20, seed=4)
    there = Candidates(torch.from_numpy(made.boxes).cuda(), torch.from_numpy(made.scores).cuda())
    for limit in (500, 100_000):
        settings = Selection(nms=kind, max_candidates=limit)
        assert_equal(select(there, settings=settings), select(made, settings=settings))


@pytest.mark.parametrize("kind", NMS)
def test_an_image_gets_the_same_in_a_batch_as_alone(kind):
    made = random_candidates(images=3, predictions=3000, classes=1, seed=5)
    settings = Selection(nms=kind, min_score=0.001)
    alone = [
        select(Candidates(made.boxes[n : n + 1], made.scores[n : n + 1]), settings=settings)[0]
        for n in range(3)
    ]
    assert_equal(select(made, settings=settings), alone)


def test_what_was_selected_is_a_copy():
    made = random_candidates(images=1, predictions=20, classes=2, seed=6)
    before = made.boxes.copy()
    select(made)[0].boxes[:] = 0
    np.testing.assert_array_equal(made.boxes, before)


@pytest.mark.parametrize(
    ("boxes", "scores"),
    [((2, 5, 4), (2, 6, 3)), ((2, 5, 5), (2, 5, 3)), ((5, 4), (5, 3)), ((2, 5, 4), (2, 5, 0))],
)
def test_candidates_of_other_shapes_are_refused(boxes, scores):
    with pytest.raises(InvalidValue, match=r"expected boxes \(N, P, 4\) and scores \(N, P, K\)"):
        select(Candidates(np.zeros(boxes, np.float32), np.zeros(scores, np.float32)))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("min_score", -0.1),
        ("min_score", float("nan")),
        ("iou_threshold", 1.5),
        ("max_detections", 0),
        ("max_candidates", 0),
        ("sigma", 0.0),
        ("beta", float("inf")),
    ],
)
def test_settings_out_of_range_are_refused_by_name(setting, value):
    with pytest.raises(InvalidValue, match=f"{setting} is {value}"):
        Selection(**{setting: value})


def test_a_misspelt_kind_of_nms_suggests_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'soft-gaussian'"):
        Selection(nms="soft_gaussian")


def test_the_best_of_each_image_are_ranked_among_those_that_may_count():
    rng = np.random.default_rng(0)
    boxes = rng.uniform(0, 100, (2, 300, 4)).astype(np.float32)
    scores = rng.uniform(0, 1, (2, 300, 20)).astype(np.float32)
    settings = Selection(min_score=0.001, max_candidates=7)

    def keep(boxes: np.ndarray, image: np.ndarray) -> np.ndarray:
        return (boxes[:, 0] < 50) | (image == 1)

    found = rank(Candidates(boxes, scores), settings=settings, keep=keep)
    for image, among in enumerate((scores[0, boxes[0, :, 0] < 50], scores[1])):
        best = np.sort(among, axis=None)[::-1][:7]
        np.testing.assert_array_equal(found.scores[found.image == image], best)


@pytest.mark.parametrize("crops", [1, 2])
def test_a_box_with_an_infinite_coordinate_is_dropped_of_one_crop_and_of_several(crops: int):
    plan = InferencePlan(views=(TTAView(),) * crops)
    made = make_crops((64, 64), plan, NetworkInput((64, 64), 32, "letterbox"))
    boxes = np.array([[[0, 0, 10, 10], [0, 0, np.inf, 10]]] * crops, np.float32)
    scores = np.array([[[0.9], [0.8]]] * crops, np.float32)
    settings = Selection(min_score=0.1)
    ranked = rank(Candidates(boxes, scores), settings=settings)
    (found,) = select_crops([(ranked, np.arange(crops))], [made], settings=settings)
    assert found.boxes.tolist() == [[0, 0, 10, 10]]
