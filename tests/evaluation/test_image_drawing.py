"""A judged image shows what is there and what was found, and tells them apart."""

import numpy as np

from scantling.evaluation.image_drawing import FOUND, MISSED, RIGHT, WRONG, draw_matched


def drawn(*, found: bool, right: bool) -> np.ndarray:
    return draw_matched(
        np.full((300, 400, 3), 90, np.uint8),
        objects=np.array([[20.0, 60.0, 150.0, 200.0]]),
        object_tags=["dog"],
        object_found=np.array([found]),
        detections=np.array([[220.0, 60.0, 390.0, 500.0]]),
        detection_tags=["dog 0.90"],
        detection_right=np.array([right]),
    )


def share(image: np.ndarray, color: tuple[int, int, int]) -> float:
    """How much of the left side of the object's box is of the colour."""
    return float((image[60:200, 18:24] == color).all(axis=2).any(axis=1).mean())


def test_the_outline_of_an_object_is_dashed_and_tells_whether_it_was_found():
    assert 0.4 < share(drawn(found=True, right=True), FOUND) < 0.9
    assert 0.4 < share(drawn(found=False, right=True), MISSED) < 0.9


def test_the_outline_of_a_detection_is_whole_even_where_it_leaves_the_image():
    for right, color in ((True, RIGHT), (False, WRONG)):
        image = drawn(found=True, right=right)
        assert (image[60:300, 220:222] == color).all(axis=2).any(axis=1).all()
        assert (image[298:300, 221:388] == color).all(axis=2).any(axis=0).all()


def test_the_image_given_stays_as_it_was_without_boxes():
    image = np.full((50, 60, 3), 90, np.uint8)
    none = np.zeros((0, 4))
    nobody = np.zeros(0, np.bool_)
    copy = draw_matched(
        image,
        objects=none,
        object_tags=[],
        object_found=nobody,
        detections=none,
        detection_tags=[],
        detection_right=nobody,
    )
    assert (copy == image).all()
    assert copy is not image
