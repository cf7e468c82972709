"""NMS against the algorithm as the papers write it, one box after the other, and against OpenCV."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from scantling.postprocess import Ranked, Selection, select, suppression
from scantling.structures import Candidates

Found = tuple[np.float32, int, int]  # score, place of the box, label


def overlap(a: list[np.float32], b: list[np.float32]) -> np.float32:
    """IoU, by the definition."""
    zero = np.float32(0)
    width = max(min(a[2], b[2]) - max(a[0], b[0]), zero)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), zero)
    area_a, area_b = (max(x[2] - x[0], zero) * max(x[3] - x[1], zero) for x in (a, b))
    union = area_a + area_b - width * height
    return width * height / union if union > 0 else zero


def distance(a: list[np.float32], b: list[np.float32]) -> np.float32:
    """Squared distance of the centres, over the squared diagonal of the enclosing box."""
    width = max(a[2], b[2]) - min(a[0], b[0])
    height = max(a[3], b[3]) - min(a[1], b[1])
    x, y = ((a[n] + a[n + 2] - b[n] - b[n + 2]) / np.float32(2) for n in (0, 1))
    diagonal = width * width + height * height
    return (x * x + y * y) / diagonal if diagonal > 0 else np.float32(0)


def ranked(boxes: np.ndarray, scores: np.ndarray, chosen: Selection) -> list[Found]:
    """The candidates of an image, best first."""
    found = []
    for place, (box, row) in enumerate(zip(boxes, scores, strict=True)):
        usable = [
            (score, place, label)
            for label, score in enumerate(row)
            if math.isfinite(score) and score > np.float32(chosen.min_score)
        ]
        if not chosen.multi_label:
            usable = sorted(usable, key=lambda one: (-one[0], one[2]))[:1]
        if all(math.isfinite(value) for value in box):
            found += usable
    return sorted(found, key=lambda one: (-one[0], *one[1:]))[: chosen.max_candidates]


def contend(a: Found, b: Found, chosen: Selection) -> bool:
    return a[2] == b[2] or not chosen.class_aware


def greedy(boxes: np.ndarray, candidates: list[Found], chosen: Selection) -> list[Found]:
    """Take the best box that is left; drop what overlaps it; again."""

    def measure(a: int, b: int) -> np.float32:
        away = distance(boxes[a], boxes[b]) if chosen.nms == "diou" else np.float32(0)
        return overlap(boxes[a], boxes[b]) - away**chosen.beta

    kept: list[Found] = []
    for one in candidates:
        if not any(
            contend(one, better, chosen)
            and measure(better[1], one[1]) > np.float32(chosen.iou_threshold)
            for better in kept
        ):
            kept.append(one)
    return kept


def soft(boxes: np.ndarray, candidates: list[Found], chosen: Selection) -> list[Found]:
    """Take the best box that is left; lower what overlaps it; again.

    Scores are counted in 2⁻⁴⁰ of a natural logarithm, so that ties stay ties.
    """

    def weight(shared: float) -> int:
        if chosen.nms == "soft-gaussian":
            lost = shared * shared / chosen.sigma
        elif shared > np.float32(chosen.iou_threshold):
            lost = -np.log1p(-shared) if shared < 1 else math.inf
        else:
            lost = 0
        return round(min(lost, 150) * 2**40)

    left = [[round(np.log(float(one[0])) * 2**40), -rank] for rank, one in enumerate(candidates)]
    taken = []
    while left:
        best = max(left)
        left.remove(best)
        level, one = best[0], candidates[-best[1]]
        taken.append((np.float32(math.exp(level / 2**40)), *one[1:], -best[1]))
        for other in left:
            if contend(one, candidates[-other[1]], chosen):
                place = candidates[-other[1]][1]
                other[0] -= weight(np.float64(overlap(boxes[one[1]], boxes[place])))
    taken.sort(key=lambda one: (-one[0], one[3]))
    return [one[:3] for one in taken if one[0] > np.float32(chosen.min_score)]


REFERENCE = {
    "greedy": greedy,
    "diou": greedy,
    "soft-linear": soft,
    "soft-gaussian": soft,
    "none": lambda _boxes, candidates, _chosen: candidates,
}


def assert_as_one_by_one(boxes: np.ndarray, scores: np.ndarray, chosen: Selection) -> None:
    """Every image of the batch, to the bit, boxes and order included."""
    ours = select(Candidates(boxes, scores), settings=chosen)
    for selected, own, rows in zip(ours, boxes, scores, strict=True):
        with np.errstate(all="ignore"):
            expected = REFERENCE[chosen.nms](own, ranked(own, rows, chosen), chosen)
        expected = expected[: chosen.max_detections]
        assert selected.scores.tolist() == [one[0] for one in expected]
        assert selected.labels.tolist() == [one[2] for one in expected]
        np.testing.assert_array_equal(
            selected.boxes, own[[one[1] for one in expected]].reshape(-1, 4)
        )


# Few values, so that equal scores, equal boxes and overlaps at the very threshold are common.
SIDES = st.sampled_from([0.0, 1, 2, 3, 4, 6])
COORDINATES = st.one_of(
    SIDES, SIDES, SIDES, st.sampled_from([np.nan, np.inf, -np.inf, 3e38, -3e38])
)
SCORES = st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 0.5, 0.75, 0.9, 1.0, np.nan, np.inf, -np.inf])


@st.composite
def batches(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    images, predictions = draw(st.integers(1, 2)), draw(st.integers(1, 9))
    classes = draw(st.integers(1, 2))
    corners = draw(arrays.arrays(np.float32, (images, predictions, 2), elements=SIDES))
    sizes = draw(arrays.arrays(np.float32, (images, predictions, 2), elements=SIDES))
    boxes = np.concatenate([corners, corners + sizes], axis=2)
    odd = draw(st.integers(0, predictions))  # any four numbers: turned over, without end, …
    boxes[:, odd : odd + 2] = draw(
        arrays.arrays(np.float32, boxes[:, odd : odd + 2].shape, elements=COORDINATES)
    )
    scores = arrays.arrays(np.float32, (images, predictions, classes), elements=SCORES)
    return boxes, draw(scores)


def selections(kind: str) -> st.SearchStrategy[Selection]:
    return st.builds(
        Selection,
        nms=st.just(kind),
        min_score=st.sampled_from([0.0, 0.1, 0.25]),
        iou_threshold=st.sampled_from([0.0, 0.25, 1 / 3, 0.45, 0.5, 1.0]),
        class_aware=st.booleans(),
        multi_label=st.booleans(),
        max_detections=st.sampled_from([1, 3, 300]),
        max_candidates=st.sampled_from([2, 7, 5000]),
        sigma=st.sampled_from([0.1, 0.5, 2.0]),
        beta=st.sampled_from([0.5, 0.6, 1.0, 2.0]),
    )


@pytest.mark.parametrize("kind", REFERENCE)
def test_every_kind_equals_taking_one_box_after_the_other(kind):
    @settings(max_examples=400, deadline=None)
    @given(batch=batches(), chosen=selections(kind))
    def check(batch: tuple[np.ndarray, np.ndarray], chosen: Selection) -> None:
        assert_as_one_by_one(*batch, chosen)

    check()


def crowd(count: int, *, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes that crowd around a few places, as a network gives them; no two scores alike."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(0, 400, (12, 2))[rng.integers(0, 12, count)]
    centre = place + rng.normal(0, 15, (count, 2))
    size = rng.uniform(40, 80, (count, 2))
    boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=1).astype(np.float32)
    scores = np.zeros((count, classes), np.float32)
    spread = rng.permutation(np.linspace(0.01, 0.99, count))
    scores[np.arange(count), rng.integers(0, classes, count)] = spread
    return boxes[None], scores[None]


@pytest.mark.parametrize("kind", REFERENCE)
@pytest.mark.parametrize("classes", [1, 7])
def test_every_kind_equals_taking_one_box_after_the_other_in_a_crowd(kind, classes):
    boxes, scores = crowd(250, classes=classes, seed=classes)
    for threshold in (0.2, 0.5, 0.8):
        chosen = Selection(nms=kind, min_score=0.05, iou_threshold=threshold, beta=0.6)
        assert_as_one_by_one(boxes, scores, chosen)


def xywh(boxes: np.ndarray) -> list[list[float]]:
    """What OpenCV takes."""
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).tolist()


def one_image(boxes: np.ndarray, scores: np.ndarray, chosen: Selection) -> Ranked:
    (selected,) = select(Candidates(boxes, scores), settings=chosen)
    return selected


@pytest.mark.parametrize("threshold", [0.1, 0.45, 0.7])
@pytest.mark.parametrize("count", [50, 2000])
def test_greedy_equals_opencvs(count, threshold):
    boxes, scores = crowd(count, classes=5, seed=count)
    chosen = Selection(min_score=0.05, iou_threshold=threshold, max_detections=count)
    found = one_image(boxes, scores, chosen)
    theirs = cv2.dnn.NMSBoxesBatched(
        xywh(boxes[0]), scores[0].max(1).tolist(), scores[0].argmax(1).tolist(), 0.05, threshold
    )
    theirs = theirs[np.argsort(-scores[0].max(1)[theirs])]
    assert len(theirs) > 10
    np.testing.assert_array_equal(found.boxes, boxes[0, theirs])


@pytest.mark.parametrize("count", [50, 2000])
def test_greedy_across_classes_equals_opencvs(count):
    boxes, scores = crowd(count, classes=5, seed=count + 1)
    chosen = Selection(min_score=0.05, iou_threshold=0.45, class_aware=False, max_detections=count)
    theirs = cv2.dnn.NMSBoxes(xywh(boxes[0]), scores[0].max(1).tolist(), 0.05, 0.45)
    np.testing.assert_array_equal(one_image(boxes, scores, chosen).boxes, boxes[0, theirs])


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("soft-linear", cv2.dnn.SoftNMSMethod_SOFTNMS_LINEAR),
        ("soft-gaussian", cv2.dnn.SoftNMSMethod_SOFTNMS_GAUSSIAN),
    ],
)
@pytest.mark.parametrize("count", [50, 1000])
def test_soft_equals_opencvs(count, kind, method):
    boxes, scores = crowd(count, classes=1, seed=count + 2)
    boxes = boxes.round()  # OpenCV takes whole numbers only
    chosen = Selection(nms=kind, min_score=0.05, iou_threshold=0.3, max_detections=count)
    found = one_image(boxes, scores, chosen)
    theirs, kept = cv2.dnn.softNMSBoxes(
        xywh(boxes[0].astype(int)), scores[0, :, 0].tolist(), 0.05, 0.3, sigma=0.5, method=method
    )
    assert len(kept) > 15
    np.testing.assert_allclose(found.scores, np.ravel(theirs), atol=1e-5)
    np.testing.assert_array_equal(found.boxes, boxes[0, np.ravel(kept)])


def test_diou_keeps_a_neighbour_that_greedy_removes():
    boxes = np.array([[[0, 0, 10, 10], [4, 0, 14, 10]]], np.float32)  # IoU 3/7, distance 16/296
    scores = np.array([[[0.9], [0.8]]], np.float32)
    assert len(one_image(boxes, scores, Selection(iou_threshold=0.4))) == 1
    assert len(one_image(boxes, scores, Selection(iou_threshold=0.4, nms="diou"))) == 2
    assert len(one_image(boxes, scores, Selection(iou_threshold=0.37, nms="diou"))) == 1
    assert len(one_image(boxes, scores, Selection(iou_threshold=0.37, nms="diou", beta=0.6))) == 2


def test_soft_multiplies_the_scores_of_what_overlaps():
    boxes = np.array([[[0, 0, 10, 10], [0, 5, 10, 15]]], np.float32)  # IoU 1/3
    scores = np.array([[[0.9], [0.6]]], np.float32)
    linear = one_image(boxes, scores, Selection(nms="soft-linear", iou_threshold=0.3))
    assert linear.scores.tolist() == pytest.approx([0.9, 0.6 * 2 / 3])
    gaussian = one_image(boxes, scores, Selection(nms="soft-gaussian", sigma=0.5))
    assert gaussian.scores.tolist() == pytest.approx([0.9, 0.6 * math.exp(-2 / 9)])


def single_file(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Each box overlaps the next alone, and is better: no two can be settled at once."""
    left = np.arange(count, dtype=np.float32) * 6
    boxes = np.stack([left, 0 * left, left + 10, 0 * left + 10], axis=1)
    return boxes[None], np.linspace(0.9, 0.5, count, dtype=np.float32)[None, :, None]


@pytest.mark.parametrize("block", [1, 2, 7, 100, 10_000])
@pytest.mark.parametrize("batch", [crowd(400, classes=1, seed=0), single_file(400)])
def test_the_size_of_the_blocks_changes_nothing(batch, block):
    boxes, scores = batch
    order = np.argsort(-scores[0, :, 0], kind="stable")
    group = np.arange(400) % 2
    candidates = suppression.Ranked(
        boxes[0, order], scores[0, order, 0], np.zeros(400, np.int64), 0 * group, group, images=1
    )
    limits = {"threshold": 0.2, "max_detections": 50}
    ours = suppression.greedy(candidates, **limits, block=block)
    usual = suppression.greedy(candidates, **limits)
    best = np.flatnonzero(ours)[:50]
    np.testing.assert_array_equal(best, np.flatnonzero(usual)[:50])
    np.testing.assert_array_equal(ours[best], candidates.scores[best])


def test_a_single_file_of_boxes_keeps_every_second():
    found = one_image(*single_file(1000), Selection(iou_threshold=0.2, max_detections=1000))
    assert found.boxes[:, 0].tolist() == [12.0 * n for n in range(500)]
