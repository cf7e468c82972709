"""Views of an image: where they lie, what is drawn, and the way back to the image."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, strategies as st

from scantling.errors import InvalidValue
from scantling.images import TTA, InferencePlan, TTAView, resize_and_pad
from scantling.images.crops import (
    NetworkInput,
    find_regions,
    make_crops,
    preprocess,
    rectangular_canvas,
)
from scantling.structures import Placement

SQUARE = NetworkInput((416, 416), 32)
sides = st.integers(1, 3000)
sizes = st.tuples(sides, sides)
views = st.builds(TTAView, st.floats(0.2, 2.0), st.booleans())
plans = st.builds(
    InferencePlan,
    views=st.lists(views, min_size=1, max_size=3).map(tuple),
    tile=st.none() | st.tuples(st.integers(100, 900), st.integers(100, 900)),
    overlap=st.floats(0, 0.6),
    whole_image=st.booleans(),
)
shapes = st.builds(
    NetworkInput,
    st.tuples(*[st.integers(2, 20).map(lambda n: 32 * n)] * 2),
    st.sampled_from([32, 64]),
    st.sampled_from(["letterbox", "corner", "stretch"]),
)
shares = st.lists(st.floats(0, 1), min_size=4, max_size=4)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def boxes_of(size: tuple[int, int], corners: list[float]) -> np.ndarray:
    left, right = sorted(corners[:2])
    top, bottom = sorted(corners[2:])
    height, width = size
    return np.array([[left * width, top * height, right * width, bottom * height]], np.float32)


@given(original=sizes, plan=plans, shape=shapes, corners=shares)
def test_boxes_come_back_from_every_view(original, plan, shape, corners):
    boxes = boxes_of(original, corners)
    for view in make_crops(original, plan, shape):
        placed = view.placement.apply(boxes)
        assert (placed[:, :2] <= placed[:, 2:]).all()
        scale = min(abs(view.placement.scale_x), view.placement.scale_y)
        largest = max(np.abs(placed).max(), abs(view.placement.left), abs(view.placement.top), 1)
        tolerance = max(1e-3, 2**-22 * largest / scale)
        np.testing.assert_allclose(view.placement.undo(placed), boxes, rtol=0, atol=tolerance)


@given(original=sizes, plan=plans, shape=shapes)
def test_a_region_lies_where_its_view_says(original, plan, shape):
    for view in make_crops(original, plan, shape):
        placed = view.placement.apply(np.array([view.region], np.float32))
        np.testing.assert_allclose(placed[0], view.inside, rtol=1e-5, atol=2e-2)
        left, top, right, bottom = view.inside
        assert 0 <= left < right <= view.canvas[1]
        assert 0 <= top < bottom <= view.canvas[0]


@given(original=sizes, plan=plans)
def test_regions_cover_the_image_and_nothing_else(original, plan):
    height, width = original
    regions = find_regions(original, plan)
    covered = np.zeros((2, max(original)), bool)
    for left, top, right, bottom in regions:
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        covered[0, left:right] = True
        covered[1, top:bottom] = True
    assert covered[0, :width].all()
    assert covered[1, :height].all()
    if plan.tile is None:
        assert regions == [(0, 0, width, height)]


@given(side=st.integers(200, 5000), tile=st.integers(50, 199), overlap=st.floats(0, 0.8))
def test_neighbouring_tiles_share_what_was_asked_for(side, tile, overlap):
    plan = InferencePlan(tile=(5000, tile), overlap=overlap, whole_image=False)
    regions = find_regions((10, side), plan)
    for (_, _, right, _), (left, _, _, _) in pairwise(regions):
        assert right - left >= int(overlap * tile)
    assert all(right - left == tile for left, _, right, _ in regions)
    needed = 1 + (side - tile) / (tile * (1 - overlap) - 1)
    assert len(regions) <= needed + 1


def test_tiles_of_a_known_image():
    tiles = find_regions((300, 500), InferencePlan(tile=(200, 300), overlap=0.5))
    assert tiles[0] == (0, 0, 500, 300)
    assert tiles[1:] == [
        (0, 0, 300, 200), (100, 0, 400, 200), (200, 0, 500, 200),
        (0, 100, 300, 300), (100, 100, 400, 300), (200, 100, 500, 300),
    ]  # fmt: skip


@pytest.mark.parametrize("whole", [True, False])
def test_an_image_that_fits_into_a_tile_is_shown_once(whole: bool):
    assert find_regions((200, 300), InferencePlan(tile=(200, 300), whole_image=whole)) == [
        (0, 0, 300, 200)
    ]


@pytest.mark.parametrize("fit", ["letterbox", "corner", "stretch"])
@pytest.mark.parametrize("size", [(576, 768), (768, 576), (33, 500), (1, 1), (3, 700)])
def test_the_one_view_of_the_usual_plan_is_what_place_makes(fit, size):
    image = noise(*size)
    (view,) = make_crops(size, InferencePlan(), NetworkInput((416, 608), 32, fit))
    placed, placement = resize_and_pad(image, (416, 608), resize_mode=fit, pad_value=9)
    np.testing.assert_array_equal(preprocess(image, view, pad_value=9), placed)
    assert view.placement == placement


def test_the_plan_of_the_paper_has_canvases_of_whole_strides():
    views = make_crops((480, 640), TTA, NetworkInput((640, 640), 128))
    assert [view.canvas for view in views] == [(640, 640), (640, 640), (512, 512)]
    assert [view.flip for view in views] == [False, True, False]
    widths = [view.inside[2] - view.inside[0] for view in views]
    assert widths == [640, 531, 429]


def test_a_network_of_one_size_gets_every_view_on_it():
    views = make_crops((480, 640), TTA, NetworkInput((416, 416)))
    assert {view.canvas for view in views} == {(416, 416)}
    with pytest.raises(InvalidValue, match="one size only"):
        make_crops((480, 640), InferencePlan(views=(TTAView(1.5),)), NetworkInput((416, 416)))


def test_a_mirrored_view_shows_the_mirrored_image():
    image = noise(90, 120)
    (plain,) = make_crops((90, 120), InferencePlan(views=(TTAView(0.83),)), SQUARE)
    (flipped,) = make_crops((90, 120), InferencePlan(views=(TTAView(0.83, flip=True),)), SQUARE)
    mirrored = np.ascontiguousarray(image[:, ::-1])
    np.testing.assert_array_equal(preprocess(image, flipped), preprocess(mirrored, plain))
    boxes = np.array([[10, 20, 30, 50]], np.float32)
    turned = np.array([[90, 20, 110, 50]], np.float32)
    np.testing.assert_allclose(
        flipped.placement.apply(boxes), plain.placement.apply(turned), atol=1e-4
    )


def test_a_tile_shows_its_part_of_the_image():
    image = noise(600, 800)
    views = make_crops(
        (600, 800), InferencePlan(tile=(416, 416), overlap=0.1, whole_image=False), SQUARE
    )
    for view in views:
        left, top, right, bottom = view.region
        np.testing.assert_array_equal(preprocess(image, view), image[top:bottom, left:right])


@pytest.mark.parametrize("flip", [False, True])
def test_a_marked_pixel_lands_where_the_placement_says(flip: bool):
    image = np.zeros((300, 400, 3), np.uint8)
    image[101, 222] = 255
    plan = InferencePlan(views=(TTAView(1.0, flip),), tile=(200, 300), overlap=0.2)
    for view in make_crops((300, 400), plan, SQUARE):
        drawn = preprocess(image, view, pad_value=0)[..., 0].astype(float)
        left, top, right, bottom = view.region
        if not (left + 2 < 222 < right - 2 and top + 2 < 101 < bottom - 2):
            continue
        rows, columns = np.mgrid[: drawn.shape[0], : drawn.shape[1]] + 0.5
        found = (columns * drawn).sum() / drawn.sum(), (rows * drawn).sum() / drawn.sum()
        box = view.placement.apply(np.array([[222, 101, 223, 102]], np.float32))[0]
        assert found == pytest.approx(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), abs=0.1)


@given(originals=st.lists(sizes, min_size=1, max_size=8), shape=shapes)
def test_images_are_as_large_on_a_rectangular_canvas_as_on_the_usual_one(originals, shape):
    if shape.resize_mode == "stretch":
        with pytest.raises(InvalidValue, match="stretched"):
            rectangular_canvas(originals, shape)
        return
    canvas = rectangular_canvas(originals, shape)
    assert canvas[0] % shape.size_divisor == canvas[1] % shape.size_divisor == 0
    for original in originals:
        (usual,) = make_crops(original, InferencePlan(), shape)
        (view,) = make_crops(original, InferencePlan(), shape, canvas=canvas)
        assert view.placement.scale_x == usual.placement.scale_x
        assert view.placement.scale_y == usual.placement.scale_y


def test_wide_images_share_a_low_canvas():
    assert rectangular_canvas([(480, 640), (427, 640)], SQUARE) == (320, 416)
    with pytest.raises(InvalidValue, match="one size only"):
        rectangular_canvas([(480, 640)], NetworkInput((416, 416)))


def test_an_image_of_another_size_than_its_canvas_was_made_for_still_fits():
    (view,) = make_crops((640, 480), InferencePlan(), SQUARE, canvas=(320, 416))
    assert view.canvas == (320, 416)
    assert view.inside == (88, 0, 328, 320) or view.inside[3] == 320


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: InferencePlan(views=()), "views"),
        (lambda: InferencePlan(tile=(8, 300)), "tile"),
        (lambda: InferencePlan(overlap=0.95), "overlap"),
        (lambda: InferencePlan(overlap=float("nan")), "overlap"),
        (lambda: TTAView(0.0), "scale"),
        (lambda: TTAView(5.0), "scale"),
        (lambda: TTAView(float("nan")), "scale"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(make, message):
    with pytest.raises(InvalidValue, match=message):
        make()


def test_a_mirrored_placement_keeps_corners_in_order_and_is_cut_off():
    placement = Placement(-0.5, 0.25, left=110, top=20, image_size=(100, 200))
    boxes = np.array([[0, 0, 200, 100], [20, 40, 60, 80]], np.float32)
    placed = placement.apply(boxes)
    assert placed.tolist() == [[10, 20, 110, 45], [80, 30, 100, 40]]
    assert placement.undo(placed).tolist() == boxes.tolist()
    outside = np.array([[0, 0, 200, 100]], np.float32)
    assert placement.undo(outside).tolist() == [[0, 0, 200, 100]]
    assert placement.undo(outside, clip=False).tolist() == [[-180, -80, 220, 320]]


def test_drawing_into_a_batch_writes_the_whole_slot():
    image = noise(100, 150)
    (view,) = make_crops((100, 150), InferencePlan(views=(TTAView(0.67, flip=True),)), SQUARE)
    slot = noise(*view.canvas, seed=3)
    expected = preprocess(image, view, pad_value=77)
    assert preprocess(image, view, pad_value=77, out=slot) is slot
    np.testing.assert_array_equal(slot, expected)
    left, top, right, bottom = view.inside
    inner = cv2.resize(np.ascontiguousarray(image[:, ::-1]), (right - left, bottom - top))
    np.testing.assert_array_equal(slot[top:bottom, left:right], inner)
