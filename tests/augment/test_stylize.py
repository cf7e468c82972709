"""A stylised image has the statistics of its style, and still shows what it showed."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from scantling.augment.stylize import stylize
from scantling.errors import InvalidValue


@pytest.fixture
def pair(assets: Path) -> tuple[np.ndarray, np.ndarray]:
    names = ("dog.jpg", "scream.jpg")
    images = [cv2.imread(str(assets / "images" / "darknet" / name)) for name in names]
    dog, scream = (cv2.resize(image, (256, 192))[:, :, ::-1] for image in images)
    return np.ascontiguousarray(dog), np.ascontiguousarray(scream[:150])


def to_lab(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB).reshape(-1, 3)


def test_the_mean_and_covariance_are_those_of_the_style(pair):
    image, style = pair
    result, wanted = to_lab(stylize(image, style)), to_lab(style)
    assert np.abs(to_lab(image).mean(axis=0) - wanted.mean(axis=0)).max() > 5
    np.testing.assert_allclose(result.mean(axis=0), wanted.mean(axis=0), atol=0.5)
    np.testing.assert_allclose(np.cov(result.T), np.cov(wanted.T), atol=12)
    np.testing.assert_allclose(result.std(axis=0), wanted.std(axis=0), rtol=0.03)


def test_what_the_image_shows_stays_where_it_is(pair):
    image, style = pair
    edges = [cv2.Canny(one, 80, 160) > 0 for one in (image, stylize(image, style))]
    near = cv2.dilate(edges[1].astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert near[edges[0]].mean() > 0.5


def test_bands_bring_the_texture_of_the_style(pair):
    image, _ = pair
    noise = np.random.default_rng(0).normal(128, 40, (200, 200, 1)).repeat(3, axis=2)
    style = np.clip(noise, 0, 255).astype(np.uint8)  # all of it is fine detail

    def fineness(one: np.ndarray) -> float:
        lightness = to_lab(one)[:, 0].reshape(one.shape[:2])
        return float((lightness - cv2.GaussianBlur(lightness, (0, 0), 1)).std())

    assert fineness(stylize(image, style)) > 1.5 * fineness(stylize(image, style, bands=0))


def test_strength_goes_from_the_image_to_the_style(pair):
    image, style = pair
    untouched = stylize(image, style, strength=0)
    assert np.abs(untouched.astype(int) - image).max() <= 1
    distances = [
        np.abs(stylize(image, style, strength=s).astype(int) - image).mean() for s in (0.3, 0.6, 1)
    ]
    assert distances[0] > 1
    assert distances == sorted(distances)


@pytest.mark.usefixtures("real_assets")
def test_an_image_in_its_own_style_is_itself(pair):
    image, _ = pair
    assert np.abs(stylize(image, image).astype(int) - image).max() <= 2


@pytest.mark.parametrize("size", [(1, 1), (2, 50), (64, 64)])
def test_an_image_of_one_colour_takes_that_of_its_style(size):
    red = np.full((*size, 3), (200, 20, 30), np.uint8)
    blue = np.full((9, 9, 3), (10, 40, 180), np.uint8)
    assert np.abs(stylize(red, blue).astype(int) - (10, 40, 180)).max() <= 2


def test_what_is_no_image_is_refused(pair):
    image, style = pair
    with pytest.raises(InvalidValue, match=r"style is 'uint8 \(3, 3\)'"):
        stylize(image, style[:3, :3, 0])
    with pytest.raises(InvalidValue, match="image is"):
        stylize(image.astype(np.float32), style)
    with pytest.raises(InvalidValue, match="from 0 to 1"):
        stylize(image, style, strength=2)
    with pytest.raises(InvalidValue, match="from 0 to 12"):
        stylize(image, style, bands=-1)
