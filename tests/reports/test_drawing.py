"""What is drawn, where, and that nothing a network can say breaks it."""

from itertools import combinations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from scantling.errors import InvalidValue
from scantling.reports.drawing import class_color, crop, draw
from scantling.structures import Detections

NAMES = tuple(f"class {label}" for label in range(80))


def detections(
    boxes: object, *, image_size: tuple[int, int], names: tuple[str, ...] = NAMES
) -> Detections:
    corners = np.array(boxes, np.float32).reshape(-1, 4)
    labels = np.arange(len(corners), dtype=np.int64)
    scores = np.linspace(0.9, 0.1, len(corners), dtype=np.float32)
    return Detections(corners, scores, labels, names, image_size)


def grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 120, np.uint8)


def changed(drawn: np.ndarray) -> np.ndarray:
    return (drawn != 120).any(axis=2)


def test_draw_puts_the_box_where_it_is_and_a_tag_on_top_of_it():
    drawn = draw(
        grey(200, 300), detections([[50, 80, 251, 181]], image_size=(200, 300)), line_width=1
    )
    color = list(class_color(0))
    assert (drawn[80, 50:251] == color).all()
    assert (drawn[180, 50:251] == color).all()
    assert (drawn[80:181, 50] == color).all()
    assert (drawn[80:181, 250] == color).all()
    assert not changed(drawn)[81:180, 51:250].any()
    tag = changed(drawn)[:80]
    assert tag[70, 51:100].all()
    assert not tag[:55].any()


def test_draw_leaves_the_picture_that_it_was_given_alone():
    image = grey(200, 300)
    image.flags.writeable = False
    assert draw(image, detections([[50, 80, 250, 180]], image_size=(200, 300))) is not image
    assert not changed(image).any()


def test_draw_changes_nothing_when_nothing_was_found():
    image = grey(200, 300)
    drawn = draw(image, detections([], image_size=(200, 300)))
    assert drawn is not image
    assert not changed(drawn).any()


@pytest.mark.parametrize("box", [[0, 0, 300, 200], [280, 30, 300, 60], [-50, 150, 20, 500]])
def test_draw_keeps_the_whole_tag_inside_the_picture(box):
    plain = grey(200, 300)
    found = detections([box], image_size=(200, 300))
    inside = detections([[100, 100, 200, 150]], image_size=(200, 300))

    def pixels_of_tag(found: Detections) -> int:
        with_tag = draw(plain, found, line_width=1)
        corners = found.boxes.clip(0, [300, 200, 300, 200]).astype(int)[0]
        left, top, right, bottom = corners.tolist()
        outline = np.zeros((200, 300), np.uint8)
        cv2.rectangle(outline, (left, top), (right - 1, bottom - 1), 1, 1)
        return int((changed(with_tag) & (outline == 0)).sum())

    assert abs(pixels_of_tag(found) - pixels_of_tag(inside)) < 120  # some lies over the outline


def test_draw_leaves_the_score_out_where_the_picture_is_too_narrow_for_it():
    narrow = detections([[0, 30, 50, 90]], image_size=(100, 52), names=("class 0",))
    drawn = draw(grey(100, 52), narrow)
    bare = draw(grey(100, 52), narrow, with_scores=False)
    assert changed(bare)[20:28].any()
    assert np.array_equal(drawn, bare)


def test_draw_leaves_the_tag_out_where_it_would_hide_the_picture():
    found = detections([[5, 5, 30, 25]], image_size=(30, 40))
    outline = changed(draw(grey(30, 40), found))
    assert outline[5, 5:30].all()
    assert outline.sum() == 2 * 25 + 2 * 18


def test_draw_puts_the_better_object_on_top():
    same = detections([[50, 80, 250, 180]] * 2, image_size=(200, 300))
    assert draw(grey(200, 300), same)[180 - 1, 150].tolist() == list(class_color(0))


def test_draw_refuses_detections_of_an_image_of_another_size():
    found = detections([], image_size=(200, 300))
    with pytest.raises(InvalidValue, match=r"\[300, 200, 3\].*expected \[200, 300, 3\]"):
        draw(grey(300, 200), found)


@settings(max_examples=200, deadline=None)
@given(
    size=st.tuples(st.integers(0, 90), st.integers(0, 90)),
    boxes=st.lists(
        st.lists(
            st.floats(-(2.0**126), 2.0**126, width=32) | st.integers(-20, 100),
            min_size=4,
            max_size=4,
        ),
        max_size=5,
    ),
    name=st.text(max_size=30),
)
def test_draw_and_crop_take_any_box_on_any_picture(size, boxes, name):
    found = detections(boxes, image_size=size, names=(name,) * 5)
    image = np.zeros((*size, 3), np.uint8)
    assert draw(image, found).shape == image.shape
    assert len(crop(image, found)) == len(boxes)


def test_crop_gives_every_pixel_that_a_box_touches():
    image = np.arange(20 * 30 * 3, dtype=np.uint32).astype(np.uint8).reshape(20, 30, 3)
    boxes = [[4.5, 2, 10.1, 6], [-5, 15, 3, 90], [40, 0, 50, 10]]
    first, second, outside = crop(image, detections(boxes, image_size=(20, 30)))
    assert np.array_equal(first, image[2:6, 4:11])
    assert np.array_equal(second, image[15:20, 0:3])
    assert outside.size == 0
    first[:] = 0
    assert image[2:6, 4:11].any()


def test_colors_of_the_first_hundred_classes_are_told_apart():
    colors = [np.array(class_color(label)) for label in range(100)]
    assert min(np.abs(a - b).sum() for a, b in combinations(colors, 2)) > 25


def test_a_tag_larger_than_its_box_is_left_out_where_that_is_asked_for():
    found = detections([[50, 60, 62, 72], [100, 60, 220, 160]], image_size=(200, 300))
    small, large = (
        draw(grey(200, 300), found, line_width=1, with_scores=False, large_tags=wanted)
        for wanted in (False, True)
    )
    for drawn, tagged in ((small, False), (large, True)):
        assert changed(drawn)[:60, 40:100].any() == tagged  # above the small box
        assert changed(drawn)[:60, 100:].any()  # above the large one
    assert changed(small)[60, 50:62].all()  # the box itself is there
