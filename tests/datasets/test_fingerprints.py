"""Hashes of how images look, and the pairs that are near."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from scantling.datasets.fingerprints import near_pairs, perceptual_hash
from scantling.images.read import orient, read_image


def picture(seed: int, size: tuple[int, int] = (96, 128)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)


def photographs(assets: Path) -> list[Path]:
    return sorted((assets / "datasets" / "coco-val2017-first128" / "images").glob("*.jpg"))


def distance(first: np.ndarray, second: np.ndarray) -> int:
    return (perceptual_hash(first) ^ perceptual_hash(second)).bit_count()


@pytest.mark.parametrize(
    "change",
    [
        lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
        lambda image: cv2.imdecode(cv2.imencode(".jpg", image, [1, 40])[1], cv2.IMREAD_COLOR),
        lambda image: np.clip(image * 0.8 + 20, 0, 255).astype(np.uint8),
    ],
    ids=["half", "recompressed", "paler"],
)
def test_a_photograph_keeps_its_hash_when_changed_a_little(assets, change):
    images = [read_image(path) for path in photographs(assets)[:40]]
    assert len(images) == 40
    assert max(distance(image, change(image)) for image in images) <= 6


def test_photographs_of_different_things_are_far_apart(assets):
    images = [read_image(path) for path in photographs(assets)]
    hashes = np.array([perceptual_hash(image) for image in images], np.uint64)
    assert len(hashes) == 128
    assert len(near_pairs(hashes, distance=6)) == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_hash_is_that_of_the_upright_image(orientation):
    stored = picture(3)
    upright = perceptual_hash(orient(stored, orientation))
    assert perceptual_hash(stored, orientation=orientation) == upright


def test_an_image_without_contrast_has_no_hash():
    faint = np.full((64, 64, 3), 100, np.uint8)
    assert perceptual_hash(faint) is None
    faint[::2] += 1
    assert perceptual_hash(faint) is None


def test_grey_and_colour_of_the_same_have_the_same_hash():
    grey = cv2.cvtColor(picture(1), cv2.COLOR_RGB2GRAY)
    assert distance(grey, np.repeat(grey[..., None], 3, axis=2)) == 0


@pytest.mark.parametrize("count", [0, 1, 2, 400])
@pytest.mark.parametrize("bits", [0, 3, 6])
def test_near_pairs_are_those_that_comparing_all_finds(count, bits):
    rng = np.random.default_rng(count + bits)
    hashes = rng.integers(0, 2**63, count, dtype=np.uint64)
    for place in range(1, count, 3):  # a third are a few bits from the one before
        flips = rng.choice(64, rng.integers(0, 9), replace=False)
        hashes[place] = hashes[place - 1] ^ np.uint64(sum(1 << int(bit) for bit in flips))
    expected = [
        [a, b]
        for a in range(count)
        for b in range(a + 1, count)
        if (int(hashes[a]) ^ int(hashes[b])).bit_count() <= bits
    ]
    assert near_pairs(hashes, distance=bits).tolist() == expected
    assert count < 400 or len(expected) > 0


def test_near_pairs_are_the_same_when_a_bucket_is_larger_than_a_block(monkeypatch):
    hashes = np.arange(300, dtype=np.uint64)
    whole = near_pairs(hashes, distance=2)
    monkeypatch.setattr("scantling.datasets.fingerprints._BLOCK", 1000)
    assert near_pairs(hashes, distance=2).tolist() == whole.tolist()


def test_near_pairs_stop_at_the_limit():
    assert len(near_pairs(np.zeros(500, np.uint64), distance=6, limit=100)) == 100
