"""An image onto the input and back: against OpenCV's resize, and against itself."""

import cv2
import numpy as np
import pytest
from hypothesis import example, given, strategies as st

from scantling.errors import InvalidValue
from scantling.images import find_placement, resize_and_pad

RESIZE_MODES = ["letterbox", "stretch"]
sides = st.integers(1, 4096)
inputs = st.integers(1, 48).map(lambda n: 32 * n)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(
    original=st.tuples(sides, sides),
    image_size=st.tuples(inputs, inputs),
    resize_mode=st.sampled_from(RESIZE_MODES),
    corners=st.lists(st.floats(0, 1), min_size=4, max_size=4),
)
@example(original=(1, 4096), image_size=(416, 416), resize_mode="letterbox", corners=[0, 0, 1, 1])
@example(original=(4096, 1), image_size=(32, 1536), resize_mode="letterbox", corners=[0, 0, 1, 1])
@example(original=(1, 1), image_size=(1536, 32), resize_mode="letterbox", corners=[0, 0, 1, 1])
def test_boxes_come_back_to_where_they_were(original, image_size, resize_mode, corners):
    height, width = original
    boxes = np.array([corners], np.float32) * np.array([width, height] * 2, np.float32)
    placement = find_placement(original, image_size, resize_mode=resize_mode)
    placed = placement.apply(boxes)
    assert placed.min() >= -1e-3
    assert (placed <= np.array([*image_size[::-1]] * 2) + 1e-3).all()
    # A float32 on the input is a whole 2⁻²³ of it exact; a large shrinking magnifies that.
    exact = 2**-23 * max(image_size) / min(placement.scale_x, placement.scale_y)
    np.testing.assert_allclose(placement.undo(placed), boxes, rtol=0, atol=max(1e-3, exact))


@given(original=st.tuples(sides, sides), image_size=st.tuples(inputs, inputs))
def test_letterbox_keeps_the_aspect_fills_one_side_and_centres(original, image_size):
    placement = find_placement(original, image_size)
    (whole,) = placement.apply(np.array([[0, 0, original[1], original[0]]], np.float32))
    left, top, right, bottom = whole.tolist()
    assert abs(left - (image_size[1] - right)) <= 1 + 1e-3
    assert abs(top - (image_size[0] - bottom)) <= 1 + 1e-3
    assert max(right - left - image_size[1], bottom - top - image_size[0]) == pytest.approx(
        0, abs=1e-3
    )
    scale = min(image_size[0] / original[0], image_size[1] / original[1])
    assert right - left == pytest.approx(max(1, original[1] * scale), abs=1.001)
    assert bottom - top == pytest.approx(max(1, original[0] * scale), abs=1.001)


@pytest.mark.parametrize(
    ("original", "image_size", "expected"),
    [  # darknet: new_h = int(h · net_w / w), offset = (net_h − new_h) / 2, whole numbers
        ((576, 768), (416, 416), (416 / 768, 312 / 576, 0, 52)),
        ((424, 640), (416, 416), (416 / 640, 275 / 424, 0, 70)),
        ((1080, 810), (640, 640), (480 / 810, 640 / 1080, 80, 0)),
        ((100, 3000), (64, 64), (64 / 3000, 2 / 100, 0, 31)),
        ((1, 5000), (64, 64), (64 / 5000, 1.0, 0, 31)),
    ],
)
def test_letterbox_rounds_as_darknet_does(original, image_size, expected):
    placement = find_placement(original, image_size)
    found = (placement.scale_x, placement.scale_y, placement.left, placement.top)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("size", [(576, 768), (768, 576), (33, 500), (1, 1), (3, 700), (608, 608)])
def test_stretch_equals_opencv_exactly(size):
    image = noise(*size)
    placed, placement = resize_and_pad(image, (416, 608), resize_mode="stretch")
    np.testing.assert_array_equal(placed, cv2.resize(image, (608, 416)))
    assert (placement.left, placement.top) == (0, 0)


@pytest.mark.parametrize("size", [(576, 768), (768, 576), (33, 500), (1, 1), (3, 700), (900, 2)])
@pytest.mark.parametrize("image_size", [(416, 416), (320, 608), (608, 320)])
def test_letterbox_is_opencv_within_and_fill_around(size, image_size):
    image = np.maximum(noise(*size), 1)
    placed, placement = resize_and_pad(image, image_size, pad_value=0)
    width = round(size[1] * placement.scale_x)
    height = round(size[0] * placement.scale_y)
    inside = placed[placement.top :, placement.left :][:height, :width]
    np.testing.assert_array_equal(inside, cv2.resize(image, (width, height)))
    around = np.ones(image_size, bool)
    around[placement.top : placement.top + height, placement.left : placement.left + width] = False
    assert (placed[around] == 0).all()
    assert around.sum() == image_size[0] * image_size[1] - height * width
    assert (placed[~around] > 0).all()


@pytest.mark.parametrize("fit", RESIZE_MODES)
@pytest.mark.parametrize(("row", "column"), [(0, 0), (10, 70), (30, 45), (59, 99)])
def test_a_marked_pixel_lands_where_the_placement_says(fit, row, column):
    image = np.zeros((60, 100, 3), np.uint8)
    image[row, column] = 255
    placed, placement = resize_and_pad(image, (416, 608), resize_mode=fit, pad_value=0)
    weight = placed[..., 0].astype(float)
    ys, xs = np.mgrid[: placed.shape[0], : placed.shape[1]] + 0.5
    found = (xs * weight).sum() / weight.sum(), (ys * weight).sum() / weight.sum()
    box = np.array([[column, row, column + 1, row + 1]], np.float32)
    left, top, right, bottom = placement.apply(box)[0].tolist()
    # at the border the interpolation has one side only, which pulls the centre inwards
    tolerance = 0.05 if (row, column) in [(10, 70), (30, 45)] else 2.5
    assert found == pytest.approx(((left + right) / 2, (top + bottom) / 2), abs=tolerance)


@pytest.mark.parametrize("fit", RESIZE_MODES)
def test_a_buffer_is_written_whole_and_returned(fit):
    image = noise(300, 500)
    fresh, _ = resize_and_pad(image, (416, 416), resize_mode=fit, pad_value=77)
    batch = np.random.default_rng(1).integers(0, 256, (3, 416, 416, 3), dtype=np.uint8)
    before = batch.copy()
    placed, _ = resize_and_pad(image, (416, 416), resize_mode=fit, pad_value=77, out=batch[1])
    assert np.shares_memory(placed, batch)
    np.testing.assert_array_equal(batch[1], fresh)
    np.testing.assert_array_equal(batch[[0, 2]], before[[0, 2]])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"resize_mode": "crop"},
            "resize_mode is 'crop'; expected one of letterbox, corner, stretch",
        ),
        ({"pad_value": 256}, "pad_value is 256"),
        ({"out": np.zeros((64, 65, 3), np.uint8)}, "out is 'uint8"),
        ({"out": np.zeros((64, 64, 3), np.float32)}, "out is 'float32"),
        ({"out": np.zeros((64, 128, 3), np.uint8)[:, ::2]}, "contiguous"),
        ({"image": np.zeros((0, 5, 3), np.uint8)}, "image is"),
        ({"image": np.zeros((5, 5, 3), np.float32)}, "image is"),
        ({"image_size": (0, 64)}, "image_size is"),
    ],
)
def test_what_cannot_be_placed_is_refused_by_name(changed, message):
    arguments = {"image": noise(5, 6), "image_size": (64, 64)} | changed
    with pytest.raises(InvalidValue, match=message):
        resize_and_pad(**arguments)
