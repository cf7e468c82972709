"""VOC's text results, as darknet's `valid` writes them."""

from pathlib import Path

import numpy as np
import pytest

from scantling.errors import InvalidData
from scantling.evaluation import GroundTruth, evaluate_voc, read_voc_results


@pytest.fixture
def truth() -> GroundTruth:
    """One object in one of two images; pixels 1 to 10 of each side, as VOC counts."""
    return GroundTruth(
        ("dog", "hot dog"),
        (0, 1),
        (7, "000012"),
        np.array([[0.0, 0, 10, 10]]),
        np.zeros(1, np.int64),
        np.zeros(1, np.int64),
        np.zeros(1, np.bool_),
        np.zeros(1, np.bool_),
        np.array([100.0]),
    )


def test_corners_that_count_from_one_and_include_the_last_become_a_box(tmp_path: Path, truth):
    (tmp_path / "comp4_det_test_dog.txt").write_text("000007 0.9 1 1 10 10\n\n")
    (tmp_path / "comp4_det_test_hot dog.txt").write_text("000012 0.25 3 4 3 5\n")
    found = read_voc_results(tmp_path, truth)
    assert found.boxes.tolist() == [[0, 0, 10, 10], [2, 3, 1, 2]]
    assert found.labels.tolist() == [0, 1]
    assert found.image_index.tolist() == [0, 1]
    assert found.scores.tolist() == [0.9, 0.25]
    assert evaluate_voc(truth, found).ap[0] == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("000099 0.9 1 1 10 10\n", "1 detections name 1 image ids .*000099"),
        ("7 0.9 1 1 10\n", "dog.txt:1: no line of results"),
        ("7 0.9 1 1 10 10\n7 x 1 1 10 10\n", "dog.txt:2: no line"),
        ("7 nan 1 1 10 10\n", "not finite"),
        ("7 0.9 1 1 10 1e999\n", "not finite"),
    ],
)
def test_a_line_that_does_not_fit_is_refused(tmp_path: Path, truth, text: str, problem: str):
    (tmp_path / "comp4_det_test_dog.txt").write_text(text)
    with pytest.raises(InvalidData, match=problem):
        read_voc_results(tmp_path, truth)


def test_a_folder_without_results_and_a_class_that_is_unknown_are_refused(tmp_path: Path, truth):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InvalidData, match="no file is named for a class"):
        read_voc_results(tmp_path, truth)
    with pytest.raises(InvalidData, match="no class 'cow'"):
        read_voc_results({"cow": tmp_path / "notes.txt"}, truth)
