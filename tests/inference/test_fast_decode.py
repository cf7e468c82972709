"""Predictions from reduced copies of large photographs: how near to those from the whole."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from scantling.boxes import pairwise_iou
from scantling.images import InferencePlan
from scantling.inference import Predictor, load
from scantling.structures import Detections

LARGE = (1080, 1920)


@pytest.fixture(scope="module")
def predictors(assets: Path) -> tuple[Predictor, Predictor]:
    """The real yolov4-tiny, with and without reduced decoding."""
    folder = assets / "weights" / "yolov4-tiny-coco"
    cfg, weights = folder / "yolov4-tiny.cfg", folder / "yolov4-tiny.weights"
    fast = load(cfg, weights=weights, device="cpu", resize_mode="letterbox", fast_decode=True)
    exact = Predictor(fast.engine, fast.names, input_spec=fast.input_spec, selection=fast.selection)
    return fast, exact


@pytest.fixture(scope="module")
def photographs(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Large ones, each of six real photographs side by side."""
    files = sorted((assets / "datasets" / "coco-val2017-first128").rglob("*.jpg"))
    images = [cv2.imread(str(file)) for file in files[:36]]
    tiles = [cv2.resize(one, (640, 540), interpolation=cv2.INTER_AREA) for one in images]
    folder = tmp_path_factory.mktemp("large")
    made = []
    for number in range(6):
        row = [np.hstack(tiles[6 * number + start :][:3]) for start in (0, 3)]
        made.append(folder / f"{number:02}.jpg")
        cv2.imwrite(str(made[-1]), np.vstack(row), [cv2.IMWRITE_JPEG_QUALITY, 90])
    return made


def find(predictor: Predictor, path: Path) -> Detections:
    """What is in an image that itself is not wanted."""
    (prediction,) = predictor.stream(path, keep_images=False)
    return prediction.detections


def test_what_a_reduced_copy_gives_is_near_to_what_the_whole_gives(predictors, photographs):
    """The bound that the documentation states."""
    fast, exact = predictors
    overlaps, differences = [], []
    for path in photographs:
        near, true = find(fast, path), find(exact, path)
        assert near.image_size == true.image_size == LARGE
        overlap = pairwise_iou(true.boxes, near.boxes) * (true.labels[:, None] == near.labels)
        sure = true.scores > 0.5
        overlaps += overlap.max(1)[sure].tolist()
        differences += np.abs(true.scores - near.scores[overlap.argmax(1)])[sure].tolist()
    assert len(overlaps) > 30
    assert np.mean(np.array(overlaps) > 0.5) >= 0.95
    assert np.median(overlaps) > 0.93
    assert np.median(differences) < 0.05


def test_a_stream_reduces_only_where_the_image_is_not_wanted(predictors, photographs):
    fast, exact = predictors
    (kept,) = fast.stream(photographs[0])
    (reduced,) = fast.stream(photographs[0], keep_images=False)
    (whole,) = exact.stream(photographs[0], keep_images=False)
    assert kept.frame.image.shape[:2] == whole.frame.image.shape[:2] == LARGE
    assert reduced.frame.image.shape[:2] == (540, 960)
    assert [one.frame.reduced for one in (kept, reduced, whole)] == [False, True, False]
    assert reduced.frame.size == reduced.detections.image_size == LARGE
    np.testing.assert_array_equal(kept.detections.boxes, whole.detections.boxes)
    assert not np.array_equal(reduced.detections.boxes, kept.detections.boxes)
    np.testing.assert_array_equal(fast(photographs[0]).boxes, kept.detections.boxes)


def test_a_list_of_files_is_read_whole_as_an_evaluation_needs_it(predictors, photographs):
    fast, exact = predictors
    (found,) = fast.stream_files(photographs[:1])
    np.testing.assert_array_equal(found.detections.boxes, exact(photographs[0]).boxes)


def test_tiles_are_cut_from_the_whole_image(predictors, photographs):
    fast, exact = predictors
    plan = InferencePlan(tile=(540, 640))
    pair = [
        Predictor(
            fast.engine, fast.names, input_spec=fast.input_spec, plan=plan, fast_decode=choice
        )
        for choice in (True, False)
    ]
    by_fast, by_exact = (find(one, photographs[0]) for one in pair)
    np.testing.assert_array_equal(by_fast.boxes, by_exact.boxes)
    assert len(by_exact) > len(find(exact, photographs[0]))
