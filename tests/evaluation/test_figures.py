"""The figures of an evaluation show what they are given, whatever that is."""

import cv2
import numpy as np
import pytest

from scantling.evaluation.figures import draw_bars, draw_confusion, draw_f1, draw_precision_recall


def decoded(data: bytes) -> np.ndarray:
    """The pixels of a PNG, (H, W, 3)."""
    assert data.startswith(b"\x89PNG")
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)


def count_color(image: np.ndarray, color: tuple[int, int, int]) -> int:
    return int((np.abs(image.astype(int) - color).max(axis=2) < 24).sum())


def test_a_higher_bar_has_more_ink():
    blue = (0, 114, 178)
    low, high = (
        count_color(decoded(draw_bars({"small": value, "large": None}, title="AP")), blue)
        for value in (0.2, 0.8)
    )
    assert 3.5 * low < high < 4.5 * low


def test_the_line_of_f1_over_all_classes_is_drawn_with_its_best_point():
    scores = np.linspace(0, 1, 11)
    f1 = np.stack([1 - scores, 0 * scores])
    data = draw_f1(scores, f1, overall=1 - scores, names=["a", "b"], best=(0.0, 1.0), title="F1")
    assert count_color(decoded(data), (0, 114, 178)) > 300


@pytest.mark.parametrize("classes", [1, 3, 80])
def test_the_confusion_of_any_number_of_classes_is_drawn(classes: int):
    counts = np.eye(classes + 1, dtype=np.int64) * 7
    counts[0, -1] = 3
    names = [f"class {label} of a long name, $x$" for label in range(classes)]
    image = decoded(draw_confusion(counts, names=names, title="Confusion"))
    assert max(image.shape) < 2000
    assert count_color(image, (8, 48, 107)) > 100  # a class that is always found right


def test_nothing_found_and_nothing_there_still_gives_figures():
    recall, nothing = np.linspace(0, 1, 101), np.full((2, 101), np.nan)
    for data in (
        draw_precision_recall(recall, nothing, iou_thresholds=[0.5, 0.75], title="none"),
        draw_f1(
            recall, nothing, overall=0 * recall, names=["a", "b"], best=(0.0, 0.0), title="none"
        ),
        draw_confusion(np.zeros((3, 3), np.int64), names=["a", "b"], title="none"),
        draw_bars({"all": None}, title="none"),
    ):
        assert decoded(data).size
