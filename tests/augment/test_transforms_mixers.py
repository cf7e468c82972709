"""Mosaics, MixUp and CutMix: where each image lies, and in what share."""

import cv2
import numpy as np
import pytest

from scantling.augment import CutMix, DarknetMosaic, MixUp, ScaledMosaic
from scantling.errors import InvalidValue
from scantling.structures import Sample


def plain(value: int, size: tuple[int, int] = (80, 80), *, box: bool = True) -> Sample:
    """An image of one grey, with one box over all of it."""
    table = np.array([[0, 0, size[1], size[0]]] if box else [], np.float32).reshape(-1, 4)
    count = len(table)
    image = np.full((*size, 3), value, np.uint8)
    return Sample(image, table, np.full(count, value), np.zeros(count, np.bool_), value)


FOUR = [plain(value) for value in (10, 60, 170, 240)]


def test_darknets_mosaic_lays_four_tiles_around_a_point_in_the_middle():
    mosaic = DarknetMosaic((100, 200), jitter=0, saturation=1, exposure=1, hue=0)
    cuts = []
    for seed in range(200):
        result = mosaic(FOUR, np.random.default_rng(seed))
        grey = result.image[:, :, 0]
        cut_x, cut_y = int((grey[0] == 10).sum()), int((grey[:, 0] == 10).sum())
        assert (grey[:cut_y, :cut_x] == 10).all()
        assert (grey[:cut_y, cut_x:] == 60).all()
        assert (grey[cut_y:, :cut_x] == 170).all()
        assert (grey[cut_y:, cut_x:] == 240).all()
        expected = [
            (0, 0, cut_x, cut_y),
            (cut_x, 0, 200, cut_y),
            (0, cut_y, cut_x, 100),
            (cut_x, cut_y, 200, 100),
        ]
        np.testing.assert_allclose(result.boxes, expected, atol=1e-3)
        cuts.append((cut_x / 200, cut_y / 100))
    for axis in np.array(cuts).T:
        assert 0.19 <= axis.min() < 0.25
        assert 0.75 < axis.max() <= 0.8


def test_darknets_mosaic_shows_the_end_of_an_image_next_to_the_cut():
    ramp = np.broadcast_to(np.arange(0, 200, dtype=np.uint8)[None, :, None], (200, 200, 3))
    both = np.stack([ramp[:, :, 0], ramp[:, :, 0].T, np.zeros((200, 200))], axis=2)
    sample = Sample(
        both.astype(np.uint8), np.zeros((0, 4), np.float32), np.zeros(0, int), np.zeros(0, bool), 1
    )
    mosaic = DarknetMosaic((200, 200), jitter=0, flip=0, saturation=1, exposure=1, hue=0)
    image = mosaic([sample] * 4, np.random.default_rng(4)).image.astype(int)
    cut_x = int(np.argmin(np.diff(image[10, :, 0]))) + 1
    cut_y = int(np.argmin(np.diff(image[:, 10, 1]))) + 1
    assert (image[cut_y - 1, cut_x - 1, :2] == 199).all()
    assert (image[cut_y, cut_x, :2] == 0).all()


def test_half_of_the_images_are_pushed_to_their_corners():
    """Alone, an edge moves by 0.3; pushed, the far edge moves by what both edges do, up to 0.6."""
    ramp = np.arange(200, dtype=np.uint8)
    image = np.stack([*np.meshgrid(ramp, ramp), np.zeros((200, 200), np.uint8)], axis=2)
    none = np.zeros((0, 4), np.float32)
    sample = Sample(image, none, np.zeros(0, int), np.zeros(0, bool), 1)
    mosaic = DarknetMosaic((100, 100), flip=0, saturation=1, exposure=1, hue=0)
    missing = []  # how much of the image is missing at the cut, a tile and an axis each
    for seed in range(60):
        result = mosaic([sample] * 4, np.random.default_rng(seed)).image.astype(int)
        cut_x, cut_y = np.random.default_rng(seed).uniform(20, 80, 2).astype(int)
        for place in range(4):
            x, y = (cut_x, cut_x - 1)[place in (0, 2)], (cut_y, cut_y - 1)[place in (0, 1)]
            red, green, _ = result[y, x]
            missing.append(199 - red if place in (0, 2) else red)
            missing.append(199 - green if place in (0, 1) else green)
    far = np.mean(np.array(missing) > 66)
    assert 0.02 < far < 0.1  # 0.5 · P(sum of two uniform in ± 0.3 above 0.33) = 0.05
    assert max(missing) <= 122


def test_each_tile_is_mirrored_and_coloured_on_its_own():
    image = np.broadcast_to(np.arange(60, 160, dtype=np.uint8)[None, :, None], (100, 100, 3)).copy()
    none = np.zeros((0, 4), np.float32)
    sample = Sample(image, none, np.zeros(0, int), np.zeros(0, bool), 1)
    mosaic = DarknetMosaic((100, 100), jitter=0, flip=0.3, saturation=1, exposure=1.5, hue=0)
    mirrored, slopes = [], []
    for seed in range(60):
        result = mosaic([sample] * 4, np.random.default_rng(seed)).image[:, :, 0].astype(float)
        rise = [result[y, x + 15] - result[y, x] for y in (2, 97) for x in (2, 80)]
        mirrored += [step < 0 for step in rise]
        slopes.append(np.abs(rise) / 15)
    assert 40 < sum(mirrored) < 105  # 72 expected
    assert np.min(slopes) < 0.75
    assert np.max(slopes) > 1.35
    assert np.mean(np.ptp(slopes, axis=1)) > 0.3


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 2)])
def test_a_tile_without_pixels_has_no_objects(size):
    for seed in range(20):
        result = DarknetMosaic(size, min_offset=0)(FOUR, np.random.default_rng(seed))
        assert result.image.shape == (*size, 3)
        assert len(result.boxes) <= size[0] * size[1]


def test_padding_next_to_the_cut_is_not_shown():
    """Zoomed out, every crop has padding on all sides, but the images still meet at the cut."""
    mosaic = DarknetMosaic((160, 160), jitter=0, resize=0.75, saturation=1, exposure=1, hue=0)
    for seed in range(40):
        boxes = mosaic(FOUR, np.random.default_rng(seed)).boxes
        assert len(boxes) == 4
        np.testing.assert_allclose(boxes[[1, 3], 0], boxes[[0, 2], 2], atol=0.01)
        np.testing.assert_allclose(boxes[[2, 3], 1], boxes[[0, 1], 3], atol=0.01)


def test_boxes_may_reach_out_of_their_tile_only_when_told():
    samples = [plain(value, (100, 100)) for value in (10, 60, 170, 240)]
    bound = DarknetMosaic((100, 100), jitter=0)(samples, np.random.default_rng(0))
    free = DarknetMosaic((100, 100), jitter=0, clip_to_tile=False)(
        samples, np.random.default_rng(0)
    )
    np.testing.assert_array_equal(bound.labels, free.labels)
    assert (free.boxes[0, 2:] >= bound.boxes[0, 2:]).all()
    assert (free.boxes[3, :2] <= bound.boxes[3, :2]).all()
    assert (bound.boxes[0, 2:] == bound.boxes[3, :2]).all()


def test_a_scaled_mosaic_is_the_moved_canvas_of_four_letterboxed_images():
    """Made once more by hand, with OpenCV's resize and one warp of the whole canvas."""
    rng = np.random.default_rng(0)
    sizes = [(60, 100), (100, 60), (90, 90), (45, 80)]
    samples = []
    for place, size in enumerate(sizes):
        image = cv2.GaussianBlur(rng.integers(0, 256, (*size, 3), dtype=np.uint8), (0, 0), 4)
        image = cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX)
        samples.append(
            Sample(image, np.zeros((0, 4), np.float32), np.zeros(0, int), np.zeros(0, bool), place)
        )
    side = 120
    for seed in range(10):
        mosaic = ScaledMosaic((side, side), translate=0.1, scale=0.4)
        image = mosaic(samples, np.random.default_rng(seed)).image
        draws = np.random.default_rng(seed)
        cut_x, cut_y = (draws.uniform(0.25, 0.75, 2) * 2 * side).astype(int)
        draws.uniform(-1, 1, 3)  # no perspective, no rotation
        scale = 1 + 0.4 * draws.uniform(-1, 1)
        draws.uniform(-1, 1, 2)  # no shear
        move_x, move_y = (0.5 + 0.1 * draws.uniform(-1, 1, 2)) * side
        canvas = np.full((2 * side + 400, 2 * side + 400, 3), 114, np.uint8)
        for place, sample in enumerate(samples):
            height, width = sample.image.shape[:2]
            ratio = side / max(height, width)
            small = cv2.resize(sample.image, (round(width * ratio), round(height * ratio)))
            left = 200 + cut_x - (small.shape[1] if place in (0, 2) else 0)
            top = 200 + cut_y - (small.shape[0] if place in (0, 1) else 0)
            canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
        canvas = np.ascontiguousarray(canvas[200:-200, 200:-200])
        matrix = np.array(
            [
                [scale, 0, move_x - scale * side + scale * 0.5 - 0.5],
                [0, scale, move_y - scale * side + scale * 0.5 - 0.5],
            ]
        )
        expected = cv2.warpAffine(canvas, matrix, (side, side), borderValue=(114, 114, 114))
        difference = np.abs(image.astype(int) - expected).max(axis=2)
        assert np.median(difference) <= 2
        assert (difference > 12).mean() < 0.08  # a pixel along the seams


def test_a_scaled_mosaic_is_the_same_whether_its_canvas_is_made_or_not():
    rng = np.random.default_rng(0)
    samples = [
        Sample(
            cv2.GaussianBlur(rng.integers(0, 256, (90, 120, 3), dtype=np.uint8), (0, 0), 3),
            np.array([[5, 5, 80, 70]], np.float32),
            np.array([place]),
            np.array([False]),
            place,
        )
        for place in range(4)
    ]
    for seed in range(10):
        straight = ScaledMosaic((130, 130), scale=0.5)(samples, np.random.default_rng(seed))
        canvas = ScaledMosaic((130, 130), scale=0.5, shear=1e-9)(
            samples, np.random.default_rng(seed)
        )
        np.testing.assert_allclose(straight.boxes, canvas.boxes, atol=1e-3)
        difference = np.abs(straight.image.astype(int) - canvas.image).max(axis=2)
        assert np.median(difference) <= 1
        assert (difference > 12).mean() < 0.05


def test_a_fixed_centre_and_no_motion_puts_the_corner_of_four_in_the_middle():
    mosaic = ScaledMosaic((80, 80), centre=(0.5, 0.5), translate=0, scale=0)
    result = mosaic(FOUR, np.random.default_rng(0))
    grey = result.image[:, :, 0]
    assert [grey[10, 10], grey[10, 70], grey[70, 10], grey[70, 70]] == [10, 60, 170, 240]
    np.testing.assert_allclose(
        result.boxes, [[0, 0, 40, 40], [40, 0, 80, 40], [0, 40, 40, 80], [40, 40, 80, 80]]
    )


def test_mixup_blends_in_one_share_and_keeps_all_boxes():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (30, 40, 3), dtype=np.uint8) for _ in range(2)]
    samples = [
        Sample(
            image, np.array([[1, 2, 20, 20 + i]], np.float32), np.array([i]), np.array([i > 0]), i
        )
        for i, image in enumerate(images)
    ]
    shares = []
    for seed in range(200):
        result = MixUp(beta=8)(samples, np.random.default_rng(seed))
        first, second, mixed = (x.astype(float) for x in (*images, result.image))
        share = ((mixed - second) * (first - second)).sum() / ((first - second) ** 2).sum()
        assert np.abs(mixed - (share * first + (1 - share) * second)).max() < 1.5
        np.testing.assert_array_equal(result.boxes, [[1, 2, 20, 20], [1, 2, 20, 21]])
        np.testing.assert_array_equal(result.labels, [0, 1])
        np.testing.assert_array_equal(result.crowd, [False, True])
        shares.append(share)
    assert np.mean(shares) == pytest.approx(0.5, abs=0.03)
    assert np.std(shares) == pytest.approx(np.sqrt(1 / (4 * 17)), rel=0.15)  # of Beta(8, 8)
    half = MixUp(beta=0)([plain(100), plain(200)], np.random.default_rng(0)).image
    assert (half == 150).all()


def test_images_of_other_sizes_are_mixed_on_a_canvas_that_holds_both():
    result = MixUp(beta=0)([plain(200, (10, 30)), plain(100, (20, 20))], np.random.default_rng(0))
    assert result.image.shape == (20, 30, 3)
    assert result.image[5, 5, 0] == 150
    assert result.image[5, 25, 0] == 157  # (200 + 114) / 2
    assert result.image[25 - 10, 25, 0] == 114


def test_cutmix_shows_the_second_image_in_its_drawn_share():
    shares = []
    for seed in range(300):
        image = CutMix()([plain(10), plain(240)], np.random.default_rng(seed)).image
        shares.append((image[:, :, 0] == 240).mean())
    assert 0.2 < np.mean(shares) < 0.5
    assert min(shares) < 0.02
    assert max(shares) > 0.8


def test_cutmix_drops_what_is_hardly_seen():
    for seed in range(60):
        result = CutMix(min_visible=0.4)([plain(10), plain(240)], np.random.default_rng(seed))
        seen = (result.image[:, :, 0] == 240).mean()
        expected = [10] * bool(1 - seen >= 0.4) + [240] * bool(seen >= 0.4)
        assert result.labels.tolist() == expected


@pytest.mark.parametrize("mixer", [CutMix(), MixUp(), DarknetMosaic(), ScaledMosaic()])
def test_a_mixer_says_how_many_samples_it_needs(mixer):
    with pytest.raises(InvalidValue, match=f"expected {mixer.samples_needed} of them"):
        mixer([plain(1)], np.random.default_rng(0))
