"""The whole augmentation of each family: how often it mixes, and what it is made of."""

from dataclasses import replace

import numpy as np
import pytest

from scantling.augment import (
    AUGMENTATIONS,
    DarknetAugmentation,
    EfficientDetAugmentation,
    ScaledYoloAugmentation,
)
from scantling.errors import InvalidValue
from scantling.structures import Sample


def plain(value: int) -> Sample:
    image = np.full((48, 64, 3), value, np.uint8)
    boxes = np.array([[0, 0, 64, 48]], np.float32)
    return Sample(image, boxes, np.array([value]), np.array([False]), value)


class Source:
    """Further samples, and how many were asked for."""

    def __init__(self) -> None:
        self.drawn = 0

    def __call__(self, rng: np.random.Generator) -> Sample:
        self.drawn += 1
        return plain(int(rng.integers(1, 256)))


def count_draws(augmentation, times: int = 200) -> list[int]:
    counts = []
    for seed in range(times):
        source = Source()
        augmentation(plain(100), np.random.default_rng(seed), draw=source)
        counts.append(source.drawn)
    return counts


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_augmentation_has_the_size_asked_for(name):
    augmentation = AUGMENTATIONS[name](image_size=(64, 96))
    for seed in range(10):
        result = augmentation(plain(9), np.random.default_rng(seed), draw=Source())
        assert result.image.shape == (64, 96, 3)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_without_mixing_no_further_sample_is_drawn(name):
    assert set(count_draws(AUGMENTATIONS[name]().without_mixing(), 20)) == {0}


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_what_is_extra_comes_last(name):
    def blacken(sample, rng):
        return replace(sample, image=np.zeros_like(sample.image))

    augmentation = AUGMENTATIONS[name](extra=(blacken,))
    assert not augmentation(plain(9), np.random.default_rng(0), draw=Source()).image.any()


def test_darknet_makes_a_mosaic_half_of_the_time():
    counts = count_draws(DarknetAugmentation((32, 32)))
    assert set(counts) == {0, 3}
    assert 75 < counts.count(3) < 125


def test_darknet_mixes_two_halves_where_told():
    augmentation = DarknetAugmentation((32, 32), mosaic=0, mixup=0.5)
    counts = count_draws(augmentation)
    assert set(counts) == {0, 1}
    assert 75 < counts.count(1) < 125
    still = DarknetAugmentation(
        (32, 32), mosaic=0, mixup=1, jitter=0, saturation=1, exposure=1, hue=0
    )
    result = still(plain(100), np.random.default_rng(0), draw=lambda _: plain(200))
    assert (result.image == 150).all()
    assert result.labels.tolist() == [100, 200]


def test_darknet_does_not_mix_mosaics():
    with pytest.raises(InvalidValue, match="0 where mosaic is above 0"):
        DarknetAugmentation(mosaic=0.5, mixup=0.5)


def test_scaled_yolo_mixes_two_whole_mosaics():
    counts = count_draws(ScaledYoloAugmentation((32, 32), mixup=0.2))
    assert set(counts) == {3, 7}
    assert 20 < counts.count(7) < 60
    assert set(count_draws(ScaledYoloAugmentation((32, 32)), 20)) == {3}


def test_efficientdet_draws_nothing():
    assert set(count_draws(EfficientDetAugmentation((32, 32)), 20)) == {0}


@pytest.mark.parametrize(
    ("still", "lively"),
    [
        (DarknetAugmentation(mosaic=0, jitter=0), {"jitter": 0.3}),
        (DarknetAugmentation(mosaic=0, jitter=0), {"resize": 1.5}),
        (DarknetAugmentation(mosaic=0, jitter=0), {"letterbox": True}),
        (DarknetAugmentation(mosaic=0, jitter=0, exposure=1), {"exposure": 2.0}),
        (DarknetAugmentation(mosaic=0, jitter=0), {"noise": 30.0}),
        (DarknetAugmentation(mosaic=0, jitter=0), {"blur": 9}),
        (DarknetAugmentation(mosaic=0, jitter=0), {"mosaic": 1.0}),
        (ScaledYoloAugmentation(mosaic=0, scale=0, translate=0), {"scale": 0.5}),
        (ScaledYoloAugmentation(mosaic=0, scale=0, translate=0), {"translate": 0.5}),
        (ScaledYoloAugmentation(mosaic=0, scale=0, translate=0), {"degrees": 40.0}),
        (ScaledYoloAugmentation(mosaic=0, scale=0, translate=0), {"shear": 20.0}),
        (ScaledYoloAugmentation(mosaic=0, scale=0, translate=0), {"perspective": 0.001}),
        (ScaledYoloAugmentation(mosaic=0, scale=0, translate=0), {"value": 0.9}),
        (EfficientDetAugmentation(scale=(1.0, 1.0)), {"scale": (0.5, 0.5)}),
    ],
)
def test_every_switch_of_an_augmentation_does_something(still, lively):
    texture = np.random.default_rng(0).integers(60, 196, (12, 16, 3), dtype=np.uint8)
    sample = replace(plain(1), image=texture.repeat(4, axis=0).repeat(4, axis=1))

    def show(augmentation):
        small = replace(augmentation, image_size=(64, 64))
        images = [small(sample, np.random.default_rng(i), draw=Source()).image for i in range(6)]
        return np.stack(images)

    assert (show(still) != show(replace(still, **lively))).mean() > 0.1


@pytest.mark.parametrize(
    ("augmentation", "bottom"),
    [
        (ScaledYoloAugmentation(mosaic=0, scale=0, translate=0, flip_vertical=0.25, value=0), 0.25),
        (DarknetAugmentation(mosaic=0, jitter=0), 0),
        (EfficientDetAugmentation(scale=(1.0, 1.0)), 0),
    ],
)
def test_flips_of_an_augmentation_come_as_often_as_told(augmentation, bottom):
    augmentation = replace(augmentation, image_size=(32, 32))
    image = np.zeros((32, 32, 3), np.uint8)
    image[:16, :16] = 200  # bright at the top left
    sample = Sample(image, np.zeros((0, 4), np.float32), np.zeros(0, int), np.zeros(0, bool), 1)
    rights, bottoms = 0, 0
    for seed in range(400):
        result = augmentation(sample, np.random.default_rng(seed), draw=Source()).image
        rights += bool(result[:, 20:].any())
        bottoms += bool(result[20:].any())
    assert 160 < rights < 240
    assert abs(bottoms - 400 * bottom) < 30
