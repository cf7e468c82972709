"""What each change of colour does, and what it leaves, by Python's own colorsys."""

import colorsys

import numpy as np
import pytest

from scantling.augment import Blur, Brightness, Contrast, DarknetColour, GaussianNoise, HsvGains
from scantling.structures import Sample


def as_sample(image: np.ndarray, boxes: list[list[float]] | None = None) -> Sample:
    table = np.array(boxes or [], np.float32).reshape(-1, 4)
    count = len(table)
    return Sample(image, table, np.zeros(count, np.int64), np.zeros(count, np.bool_), 1)


@pytest.fixture
def image() -> np.ndarray:
    """Every pixel another colour, neither grey nor near an end of the range."""
    rng = np.random.default_rng(0)
    hsv = rng.uniform((0.0, 0.3, 0.3), (1.0, 0.5, 0.5), (400, 3))
    rgb = [colorsys.hsv_to_rgb(*pixel) for pixel in hsv]
    return np.rint(np.array(rgb) * 255).astype(np.uint8).reshape(20, 20, 3)


def to_hsv(image: np.ndarray) -> np.ndarray:
    pixels = image.reshape(-1, 3) / 255
    return np.array([colorsys.rgb_to_hsv(*pixel) for pixel in pixels])


def circle_distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.abs((one - other + 0.5) % 1 - 0.5)


def apply(transform, image: np.ndarray, seed: int) -> np.ndarray:
    return transform(as_sample(image), np.random.default_rng(seed)).image


def test_exposure_multiplies_the_value_and_nothing_else(image):
    factors = []
    for seed in range(40):
        before = to_hsv(image)
        after = to_hsv(apply(DarknetColour(saturation=1, exposure=1.5, hue=0), image, seed))
        ratio = after[:, 2] / before[:, 2]
        assert ratio.std() < 0.02
        assert np.abs(after[:, 1] - before[:, 1]).max() < 0.04
        assert circle_distance(after[:, 0], before[:, 0]).max() < 0.03
        factors.append(ratio.mean())
    assert 1 / 1.52 < min(factors) < 0.8
    assert 1.25 < max(factors) < 1.52
    assert 10 < sum(factor > 1 for factor in factors) < 30


def test_saturation_multiplies_the_saturation_and_nothing_else(image):
    factors = []
    for seed in range(40):
        before = to_hsv(image)
        after = to_hsv(apply(DarknetColour(saturation=1.5, exposure=1, hue=0), image, seed))
        ratio = after[:, 1] / before[:, 1]
        assert ratio.std() < 0.04
        assert np.abs(after[:, 2] - before[:, 2]).max() < 0.01
        factors.append(ratio.mean())
    assert 1 / 1.53 < min(factors) < 0.8
    assert 1.25 < max(factors) < 1.53


def test_hue_turns_all_colours_by_one_angle_and_stops_at_red(image):
    turns = []
    before = to_hsv(image)
    for seed in range(40):
        after = to_hsv(apply(DarknetColour(saturation=1, exposure=1, hue=0.1), image, seed))
        assert np.abs(after[:, 1:] - before[:, 1:]).max() < 0.04
        middle = (before[:, 0] > 0.15) & (before[:, 0] < 0.85)
        turn = (after[:, 0] - before[:, 0])[middle]
        assert turn.std() < 0.015
        turns.append(turn.mean())
        reds = before[:, 0] < max(0.0, -turn.mean()) - 0.02
        assert circle_distance(after[reds, 0], np.zeros(reds.sum())).max(initial=0) < 0.03
    assert -0.11 < min(turns) < -0.08
    assert 0.08 < max(turns) < 0.11


def test_hsv_gains_multiply_each_part(image):
    before = to_hsv(image)
    hues, saturations, values = [], [], []
    for seed in range(60):
        after = to_hsv(apply(HsvGains(hue=0.1, saturation=0.7, value=0.4), image, seed))
        low = (before[:, 0] > 0.4) & (before[:, 0] < 0.9)
        hues.append(np.median(after[low, 0] / before[low, 0]))
        saturations.append(np.median(after[:, 1] / before[:, 1]))
        values.append(np.median(after[:, 2] / before[:, 2]))
    assert 0.89 < min(hues) < 0.93
    assert 1.06 < max(hues) < 1.11
    assert 0.28 < min(saturations) < 0.4
    assert 1.6 < max(saturations) < 1.72
    assert 0.58 < min(values) < 0.65
    assert 1.35 < max(values) < 1.42


def test_no_change_of_hsv_is_hardly_a_change(image):
    for transform in (DarknetColour(1, 1, 0), HsvGains(0, 0, 0)):
        after = apply(transform, image, 0).astype(int)
        assert np.abs(after - image).max() <= 4  # hue has 180 steps


def test_brightness_adds_one_number(image):
    changes = []
    for seed in range(40):
        change = apply(Brightness(0.1), image, seed).astype(int) - image
        assert change.min() == change.max()
        changes.append(int(change[0, 0, 0]))
    assert -26 <= min(changes) < -18
    assert 18 < max(changes) <= 26


def test_contrast_stretches_around_the_mean(image):
    ratios = []
    for seed in range(40):
        after = apply(Contrast(0.3), image, seed).astype(float)
        assert np.abs(after.mean(axis=(0, 1)) - image.mean(axis=(0, 1))).max() < 1
        ratios.append(after.std() / image.std())
    assert 0.69 < min(ratios) < 0.8
    assert 1.2 < max(ratios) < 1.31


def test_noise_has_the_deviation_that_was_asked_for():
    grey = np.full((400, 400, 3), 128, np.uint8)
    noise = apply(GaussianNoise(12.0, probability=1), grey, 1).astype(float) - 128
    assert noise.mean() == pytest.approx(0, abs=0.1)
    assert noise.std() == pytest.approx(12, rel=0.004)
    assert np.abs((np.abs(noise) <= 12).mean() - 0.683) < 0.03  # as a normal distribution has
    white = apply(GaussianNoise(12.0, probability=1), np.full_like(grey, 255), 1)
    assert white.min() > 200  # cut off, not wrapped around


def roughness(image: np.ndarray) -> float:
    return float(np.abs(np.diff(image.astype(float), axis=1)).mean())


def test_a_blurred_background_leaves_objects_as_they_are():
    image = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    sample = as_sample(image, [[10.4, 20, 40, 50.2]])
    blurred = Blur(modes=("background",))(sample, np.random.default_rng(0)).image
    np.testing.assert_array_equal(blurred[20:51, 10:40], image[20:51, 10:40])
    assert roughness(blurred[:, 45:]) < 0.2 * roughness(image[:, 45:])


@pytest.mark.parametrize(("side", "blurs"), [(7, False), (15, False), (24, True), (70, True)])
def test_a_whole_image_is_blurred_no_more_than_its_smallest_object_bears(side, blurs):
    image = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    sample = as_sample(image, [[0, 0, side, 80], [0, 0, 80, 80]])
    blurred = Blur(modes=("whole",))(sample, np.random.default_rng(0)).image
    assert (roughness(blurred) < 0.7 * roughness(image)) == blurs


def test_each_mode_of_blur_comes_a_third_of_the_time():
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    sample = as_sample(image, [[0, 0, 20, 40]])
    counts = {"none": 0, "background": 0, "whole": 0}
    rng = np.random.default_rng(0)
    for _ in range(300):
        blurred = Blur(kernel=5, modes=("none", "background", "whole"))(sample, rng).image
        if np.array_equal(blurred, image):
            counts["none"] += 1
        else:
            kept = np.array_equal(blurred[:, :20], image[:, :20])
            counts["background" if kept else "whole"] += 1
    assert counts["background"] > 70
    assert counts["none"] + counts["whole"] > 150
