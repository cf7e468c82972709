"""What is hidden, how much of it, and which boxes go with it."""

import numpy as np
import pytest

from scantling.augment import CutOut, GridMask, HideAndSeek, RandomErase
from scantling.augment.erasing import covered_share
from scantling.structures import Sample

HIDE = (1, 2, 3)


def white(boxes: list[list[float]] | None = None, size: tuple[int, int] = (120, 160)) -> Sample:
    table = np.array(boxes or [], np.float32).reshape(-1, 4)
    count = len(table)
    image = np.full((*size, 3), 255, np.uint8)
    return Sample(image, table, np.arange(count), np.zeros(count, np.bool_), 1)


def hidden(transform, seed: int) -> np.ndarray:
    image = transform(white(), np.random.default_rng(seed)).image
    mask = (image != 255).any(axis=2)
    assert (image[mask] == HIDE).all()
    return mask


def test_cutout_hides_squares_that_may_reach_over_the_edge():
    areas = []
    for seed in range(200):
        mask = hidden(CutOut(size=0.25, fill=HIDE, probability=1), seed)
        rows, columns = mask.any(axis=1).sum(), mask.any(axis=0).sum()
        assert mask.sum() == rows * columns
        assert rows <= 31
        assert columns <= 31
        areas.append(mask.sum())
    assert np.median(areas) == pytest.approx(900, rel=0.05)  # (0.25 · 120)²
    assert min(areas) < 600
    assert hidden(CutOut(holes=12, size=0.1, fill=HIDE, probability=1), 0).sum() > 4 * 144


def test_random_erase_hides_a_rectangle_of_the_area_and_aspect_asked_for():
    shares, aspects = [], []
    for seed in range(300):
        mask = hidden(RandomErase(area=(0.05, 0.2), fill=HIDE, probability=1), seed)
        rows, columns = mask.any(axis=1).sum(), mask.any(axis=0).sum()
        assert mask.sum() == rows * columns
        shares.append(mask.mean())
        aspects.append(rows / columns)
    assert 0.04 < min(shares) < 0.06
    assert 0.18 < max(shares) < 0.21
    assert 0.28 < min(aspects) < 0.4
    assert 2.5 < max(aspects) < 3.6


def test_random_erase_fills_with_noise_by_default():
    image = RandomErase(probability=1)(white(), np.random.default_rng(0)).image
    noise = image[(image != 255).any(axis=2)]
    assert noise.std() > 60
    assert noise.mean() == pytest.approx(127, abs=8)


def test_hide_and_seek_hides_about_its_share_of_the_patches():
    shares = []
    for seed in range(50):
        mask = hidden(HideAndSeek(patches=4, share=0.3, fill=HIDE, probability=1), seed)
        patches = mask.reshape(4, 30, 4, 40).mean(axis=(1, 3))
        assert set(np.unique(patches)) <= {0.0, 1.0}
        shares.append(patches.mean())
    assert np.mean(shares) == pytest.approx(0.3, abs=0.06)


def test_grid_mask_hides_a_regular_grid():
    mask = hidden(GridMask(period=(0.25, 0.25), keep=0.6, fill=HIDE, probability=1), 3)
    rows, columns = mask.any(axis=1), mask.any(axis=0)
    np.testing.assert_array_equal(mask, rows[:, None] & columns)
    np.testing.assert_array_equal(rows[30:], rows[:-30])  # a period of 0.25 · 120 pixels
    assert rows.mean() == pytest.approx(0.4)
    assert mask.mean() == pytest.approx(0.16, abs=0.02)
    other = hidden(GridMask(period=(0.25, 0.25), keep=0.6, fill=HIDE, probability=1), 4)
    assert (mask != other).any()


def test_the_mean_colour_is_the_fill_where_none_is_given():
    image = np.random.default_rng(0).integers(0, 200, (100, 100, 3), dtype=np.uint8)
    image[:, :, 0] //= 4
    sample = Sample(image, np.zeros((0, 4), np.float32), np.zeros(0, int), np.zeros(0, bool), 1)
    result = HideAndSeek(share=1.0, probability=1)(sample, np.random.default_rng(0)).image
    np.testing.assert_allclose(result[50, 50], image.mean(axis=(0, 1)), atol=1)


def test_covered_shares_are_those_of_a_plain_count():
    rng = np.random.default_rng(0)
    mask = (rng.random((40, 50)) < 0.4).astype(np.uint8)
    low = rng.integers(0, 20, (30, 2))
    high = low + rng.integers(1, 20, (30, 2))
    boxes = np.concatenate([low, high], axis=1)
    expected = [mask[y1:y2, x1:x2].mean() for x1, y1, x2, y2 in boxes.tolist()]
    np.testing.assert_allclose(covered_share(boxes.astype(np.float32), mask), expected)


@pytest.mark.parametrize("make", [CutOut, RandomErase, HideAndSeek, GridMask])
def test_a_box_goes_when_more_of_it_is_hidden_than_allowed(make):
    rng = np.random.default_rng(0)
    low = rng.integers(0, 100, (40, 2))
    boxes = np.concatenate([low, low + rng.integers(2, 20, (40, 2))], axis=1)
    sample = white(boxes.tolist())
    gone = 0
    for seed in range(20):
        result = make(fill=HIDE, probability=1, max_covered=0.5)(
            sample, np.random.default_rng(seed)
        )
        mask = (result.image != 255).any(axis=2)
        shares = np.array([mask[y1:y2, x1:x2].mean() for x1, y1, x2, y2 in boxes.tolist()])
        np.testing.assert_array_equal(result.labels, np.flatnonzero(shares <= 0.5))
        np.testing.assert_array_equal(result.boxes, sample.boxes[shares <= 0.5])
        gone += (shares > 0.5).sum()
        all_kept = make(fill=HIDE, probability=1, max_covered=1)(
            sample, np.random.default_rng(seed)
        )
        np.testing.assert_array_equal(all_kept.boxes, sample.boxes)
    assert gone > 5
