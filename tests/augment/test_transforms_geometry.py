"""Boxes are where the pixels went: found again by colour, by numpy alone."""

import cv2
import numpy as np
import pytest
from coloured import (
    COLOURS,
    assert_boxes_hold_pixels,
    assert_boxes_match_pixels,
    draw_rectangles,
    extent,
)

from scantling.augment import (
    Affine,
    CutMix,
    DarknetCrop,
    DarknetMosaic,
    HorizontalFlip,
    ScaledMosaic,
    ScaleJitter,
    VerticalFlip,
)
from scantling.augment.affine import AffineRanges, boxes_to_keep
from scantling.augment.crops import draw_window
from scantling.augment.geometry import move_boxes, scaling, translation, warp
from scantling.structures import Sample

SEEDS = range(25)


@pytest.mark.parametrize(
    "transform",
    [
        HorizontalFlip(1.0),
        VerticalFlip(1.0),
        Affine(translate=0.3, scale=0.4, pad_value=120),
        Affine(image_size=(150, 260), translate=0.2, scale=0.4, pad_value=120),
        DarknetCrop(image_size=(190, 210), jitter=0.3, pad_value=120),
        DarknetCrop(image_size=(190, 210), jitter=0.2, resize=1.5, letterbox=True, pad_value=120),
        ScaleJitter(image_size=(200, 180), scale=(0.4, 2.0)),
    ],
    ids=lambda transform: type(transform).__name__,
)
def test_an_upright_move_takes_boxes_where_the_pixels_go(transform):
    kept = 0
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        sample = draw_rectangles((170, 230), rng)
        result = transform(sample, rng)
        assert_boxes_match_pixels(result)
        kept += len(result.boxes)
    assert kept > len(SEEDS) * 1.5


@pytest.mark.parametrize(
    "transform",
    [
        Affine(degrees=180, translate=0.05, scale=0.3, pad_value=120),
        Affine(degrees=0, translate=0.05, scale=0.3, shear=25, pad_value=120),
        Affine(degrees=0, translate=0.05, scale=0.3, perspective=0.0015, pad_value=120),
        Affine(image_size=(280, 200), degrees=45, shear=10, perspective=0.0005, scale=0.5),
    ],
    ids=["turned", "sheared", "tilted", "all"],
)
def test_a_turned_box_is_the_upright_box_around_it(transform):
    fitted = 0
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        fitted += assert_boxes_hold_pixels(transform(draw_rectangles((220, 260), rng), rng))
    assert fitted > len(SEEDS)


@pytest.mark.parametrize("letterbox", [False, True])
@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_darknets_mosaic_puts_boxes_where_the_pixels_are(letterbox, flip):
    mosaic = DarknetMosaic(
        image_size=(260, 300),
        resize=1.3,
        letterbox=letterbox,
        flip=flip,
        saturation=1,
        exposure=1,
        hue=0,
        pad_value=120,
    )
    kept = 0
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        result = mosaic(four_samples(rng), rng)
        assert_boxes_match_pixels(result)
        kept += len(result.boxes)
        for label in set(range(8)) - set(result.labels.tolist()):
            seen = extent(result.image, label)  # dropped: hardly a pixel may be left
            assert seen is None or (seen[2:] - seen[:2]).min() <= 2
    assert kept > 2 * len(SEEDS)


def test_a_scaled_mosaic_puts_boxes_where_the_pixels_are():
    mosaic = ScaledMosaic(image_size=(260, 300), translate=0.1, scale=0.4, min_area=0)
    kept = 0
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        result = mosaic(four_samples(rng), rng)
        assert_boxes_match_pixels(result)
        kept += len(result.boxes)
    assert kept > 2 * len(SEEDS)


def test_a_turned_scaled_mosaic_holds_the_pixels_in_its_boxes():
    mosaic = ScaledMosaic(image_size=(300, 300), degrees=30, shear=5, scale=0.2, min_area=0)
    fitted = 0
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        fitted += assert_boxes_hold_pixels(mosaic(four_samples(rng), rng))
    assert fitted > len(SEEDS)


def test_cutmix_shrinks_boxes_to_what_is_seen():
    mixer = CutMix(min_visible=0.0)
    cut = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        first = draw_rectangles((120, 150), rng, labels=(0, 1, 2, 3))
        second = draw_rectangles((120, 150), rng, labels=(4, 5, 6, 7))
        result = mixer([first, second], rng)
        assert_boxes_match_pixels(result, within=0)
        for label in set(range(8)) - set(result.labels.tolist()):
            assert extent(result.image, label) is None
        cut += sum(label > 3 for label in result.labels.tolist())
    assert cut > 30


def test_a_motion_is_perspective_then_rotation_and_scale_then_shear_then_place():
    motion = AffineRanges(degrees=40, translate=0.2, scale=0.5, shear=20, perspective=0.001)
    for seed in range(5):
        matrix, scale = motion.draw((100, 140), (60, 80), np.random.default_rng(seed))
        draws = np.random.default_rng(seed).uniform(-1, 1, 8)
        assert scale == pytest.approx(1 + 0.5 * draws[3])
        turn = cv2.getRotationMatrix2D((0, 0), 40 * draws[2], scale)
        for x, y in [(0, 0), (70, 50), (140, 0), (20, 90)]:
            point = np.array([x - 70.0, y - 50.0])
            point /= 1 + 0.001 * draws[:2] @ point
            point = turn[:, :2] @ point
            slope_x, slope_y = np.tan(np.deg2rad(20 * draws[4:6]))
            point = np.array([point[0] + slope_x * point[1], point[1] + slope_y * point[0]])
            point += (0.5 + 0.2 * draws[6:8]) * (80, 60)
            moved = matrix @ (x, y, 1)
            np.testing.assert_allclose(moved[:2] / moved[2], point, rtol=1e-6)


def four_samples(rng: np.random.Generator) -> list[Sample]:
    """Four images of other sizes, two colours each."""
    sizes = [(160, 240), (240, 160), (200, 200), (300, 340)]
    return [
        draw_rectangles(size, rng, labels=(2 * place, 2 * place + 1))
        for place, size in enumerate(sizes)
    ]


def test_a_warp_by_a_whole_number_of_pixels_copies_them():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    moved = warp(image, translation(4, 3), (20, 30), fill=9)
    np.testing.assert_array_equal(moved[3:, 4:], image[:-3, :-4])
    assert (moved[:3] == 9).all()


def test_a_warp_to_twice_the_size_keeps_the_middle_of_pixels():
    image = np.zeros((4, 4, 3), np.uint8)
    image[1, 2] = 160
    larger = warp(image, scaling(2, 2), (8, 8))[:, :, 0].astype(float)
    ys, xs = np.mgrid[:8, :8] + 0.5
    assert (larger * xs).sum() / larger.sum() == pytest.approx(5.0, abs=0.05)  # (2 + 0.5) · 2
    assert (larger * ys).sum() / larger.sum() == pytest.approx(3.0, abs=0.05)


def test_a_box_behind_the_horizon_is_not_kept():
    tilt = np.eye(3)
    tilt[2, 0] = -0.01
    boxes = np.array([[10, 10, 50, 50], [50, 10, 150, 50]], np.float32)
    moved = move_boxes(boxes, tilt)
    assert np.isfinite(moved[0]).all()
    assert np.isnan(moved[1]).any()
    kept = boxes_to_keep(
        moved.astype(np.float32), np.ones(2), min_side=0, min_area=0, max_aspect=99
    )
    assert kept.tolist() == [True, False]


def test_boxes_are_kept_by_side_area_and_aspect():
    boxes = np.array(
        [[0, 0, 10, 10], [0, 0, 2, 10], [0, 0, 10, 10], [0, 0, 63, 3], [0, 0, 59, 3]], np.float32
    )
    areas = np.array([100, 20, 500, 189, 177])
    kept = boxes_to_keep(boxes, areas, min_side=2, min_area=0.2, max_aspect=20)
    assert kept.tolist() == [True, False, False, False, True]


@pytest.mark.parametrize("name", ["affine", "mosaic"])
def test_a_box_that_only_shrinks_has_lost_no_area_and_one_that_is_cut_has(name):
    rng = np.random.default_rng(0)
    image = np.zeros((100, 100, 3), np.uint8)
    box = np.array([[30, 30, 70, 70]], np.float32)
    sample = Sample(image, box, np.array([1]), np.array([False]), 1)
    rule = {"image_size": (100, 100), "scale": 0.7, "min_area": 0.95}
    still, cut, kept = 0, 0, 0
    for _ in range(60):
        if name == "affine":
            result = Affine(**rule, translate=0.5)(sample, rng)
        else:
            result = ScaledMosaic(**rule, centre=(0.5, 0.5), translate=0.2)([sample] * 4, rng)
        for left, top, right, bottom in result.boxes.tolist():
            inside = min(left, top) > 0 and max(right, bottom) < 100
            still += inside and right - left < 36
            # what is left of a square that was cut once is no square any more
            cut += abs((right - left) / (bottom - top) - 1) > 0.08
            kept += 1
    assert still > 5
    assert cut == 0
    assert kept < (60 if name == "affine" else 240)


def test_jitter_moves_each_edge_within_its_share():
    rng = np.random.default_rng(0)
    windows = [
        draw_window((100, 200), (64, 64), rng, jitter=0.3, resize=1.0, letterbox=False)
        for _ in range(500)
    ]
    edges = np.array([(w.left / 200, w.top / 100, w.right / 200, w.bottom / 100) for w in windows])
    edges -= (0, 0, 1, 1)
    assert np.abs(edges).max() <= 0.3
    assert (edges.max(axis=0) > 0.28).all()
    assert (edges.min(axis=0) < -0.28).all()
    assert np.abs(np.corrcoef(edges.T) - np.eye(4)).max() < 0.15  # each on its own


def test_resize_zooms_by_one_share_at_each_corner():
    rng = np.random.default_rng(0)
    windows = [
        draw_window((100, 200), (64, 64), rng, jitter=0.0, resize=1.5, letterbox=False)
        for _ in range(500)
    ]
    shares = np.array([(w.left / 200, w.top / 100) for w in windows])
    np.testing.assert_allclose(shares[:, 0], shares[:, 1])
    assert -0.25 <= shares.min() < -0.24  # (1 - 1.5) / 2
    assert 0.16 < shares.max() <= 1 / 6  # (1 - 1 / 1.5) / 2
    only_away = [
        draw_window((100, 200), (64, 64), rng, jitter=0.0, resize=0.5, letterbox=False).left
        for _ in range(200)
    ]
    assert -100 <= min(only_away) < -90
    assert max(only_away) <= 0


def test_letterbox_shows_the_image_in_its_own_aspect_ratio():
    rng = np.random.default_rng(0)
    window = draw_window((100, 200), (64, 96), rng, jitter=0.0, resize=1.0, letterbox=True)
    assert window.right - window.left == pytest.approx((window.bottom - window.top) * 1.5)
    assert (window.left, window.right) == (0, 200)
    assert window.top == pytest.approx(100 - window.bottom)


def test_a_window_that_misses_the_image_is_all_of_it():
    rng = np.random.default_rng(2)
    for _ in range(300):
        window = draw_window((20, 20), (64, 64), rng, jitter=0.9, resize=1.0, letterbox=False)
        assert min(window.right, 20) - max(window.left, 0) >= 1
        assert min(window.bottom, 20) - max(window.top, 0) >= 1


def test_a_pushed_window_keeps_its_size_and_starts_at_its_corner():
    corners = [("left", "top"), ("right", "top"), ("left", "bottom"), ("right", "bottom")]
    for corner, (x, y) in enumerate(corners):
        one = draw_window(
            (90, 120), (64, 64), np.random.default_rng(3), jitter=0.2, resize=1, letterbox=False
        )
        pushed = draw_window(
            (90, 120),
            (64, 64),
            np.random.default_rng(3),
            jitter=0.2,
            resize=1,
            letterbox=False,
            corner=corner,
        )
        assert getattr(pushed, x) == pytest.approx({"left": 0, "right": 120}[x])
        assert getattr(pushed, y) == pytest.approx({"top": 0, "bottom": 90}[y])
        assert pushed.right - pushed.left == pytest.approx(one.right - one.left)
        assert pushed.bottom - pushed.top == pytest.approx(one.bottom - one.top)


def test_scale_jitter_pads_right_and_below_with_the_mean_of_imagenet():
    image = np.full((100, 200, 3), 255, np.uint8)
    boxes = np.array([[0, 0, 200, 100]], np.float32)
    sample = Sample(image, boxes, np.array([7]), np.array([False]), 1)
    shares = []
    for seed in range(200):
        result = ScaleJitter(image_size=(96, 64))(sample, np.random.default_rng(seed))
        white = (result.image == 255).all(axis=2)
        tall, wide = white.any(axis=1).sum(), white.any(axis=0).sum()
        assert white[:tall, :wide].all()
        assert (result.image[~white] == (124, 116, 104)).all()
        if len(result.boxes):  # the box is the whole image
            np.testing.assert_array_equal(result.boxes[0], [0, 0, wide, tall])
        shares.append(tall / 32)  # at scale 1 it is 64 × 32
    assert min(shares) < 0.15
    assert 1.8 < max(shares) <= 2.0


def test_colours_of_the_oracle_are_far_apart():
    distances = np.abs(COLOURS[:, None] - COLOURS[None]).max(axis=2)
    assert (distances + 255 * np.eye(len(COLOURS), dtype=int) >= 255).all()
