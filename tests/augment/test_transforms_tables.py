"""Every transform, mixer and augmentation keeps the same promises."""

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from scantling.augment import AUGMENTATIONS, MIXERS, TRANSFORMS
from scantling.errors import InvalidValue
from scantling.structures import Sample

LAX = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
COLOUR_ONLY = {"blur", "brightness", "contrast", "darknet-colour", "gaussian-noise", "hsv-gains"}


def make(table, name: str):
    """The entry, certain to act, and small."""
    fields = {field.name for field in dataclasses.fields(table[name])}
    chosen = {"probability": 1.0, "image_size": (40, 56)}
    given = {key: value for key, value in chosen.items() if key in fields}
    if name == "blur":
        given["modes"] = ("background", "whole")
    if table is AUGMENTATIONS and "mosaic" in fields:
        given["mosaic"] = 0.7
    return table[name](**given)


def as_transform(table, name: str):
    """Any entry as (samples, rng) -> Sample."""
    made = make(table, name)
    if table is TRANSFORMS:
        return lambda samples, rng: made(samples[0], rng)
    if table is MIXERS:
        return lambda samples, rng: made(samples[: made.samples_needed], rng)
    return lambda samples, rng: made(
        samples[0], rng, draw=lambda draws: samples[int(draws.integers(len(samples)))]
    )


ENTRIES = [
    pytest.param(table, name, id=name)
    for table in (TRANSFORMS, MIXERS, AUGMENTATIONS)
    for name in table
]


@st.composite
def samples(draw) -> Sample:
    height, width = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    count = draw(st.integers(0, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    low = rng.random((count, 2)) * 0.9
    high = low + (1 - low) * rng.uniform(0.1, 1, (count, 2))
    boxes = np.concatenate([low, high], axis=1) * (width, height, width, height)
    return Sample(
        image=rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
        boxes=boxes.astype(np.float32).reshape(-1, 4),
        labels=np.arange(count, dtype=np.int64) * 3 + 1,
        crowd=np.arange(count) % 2 == 1,
        image_id=draw(st.integers(0, 9)),
    )


FOUR = st.lists(samples(), min_size=4, max_size=4)
SEED = st.integers(0, 2**32)


def copy_of(sample: Sample) -> Sample:
    return dataclasses.replace(
        sample,
        image=sample.image.copy(),
        boxes=sample.boxes.copy(),
        labels=sample.labels.copy(),
        crowd=sample.crowd.copy(),
    )


def assert_equal(one: Sample, other: Sample) -> None:
    np.testing.assert_array_equal(one.image, other.image)
    np.testing.assert_array_equal(one.boxes, other.boxes)
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_array_equal(one.crowd, other.crowd)
    assert one.image_id == other.image_id


@pytest.mark.parametrize(("table", "name"), ENTRIES)
@LAX
@given(given_samples=FOUR, seed=SEED)
def test_every_entry_returns_a_sound_sample(table, name, given_samples, seed):
    result = as_transform(table, name)(given_samples, np.random.default_rng(seed))
    height, width = result.image.shape[:2]
    assert result.image.dtype == np.uint8
    assert result.image.shape == (height, width, 3)
    count = len(result.boxes)
    assert result.boxes.shape == (count, 4)
    assert result.boxes.dtype == np.float32
    assert result.labels.shape == result.crowd.shape == (count,)
    assert result.labels.dtype == np.int64
    assert result.crowd.dtype == np.bool_
    assert np.isfinite(result.boxes).all()
    assert (result.boxes >= 0).all()
    assert (result.boxes <= np.array([width, height, width, height])).all()
    assert (result.boxes[:, 2:] > result.boxes[:, :2]).all()
    # labels are 1, 4, 7, … and every second one is a crowd, in every sample that went in
    np.testing.assert_array_equal(result.crowd, (result.labels - 1) // 3 % 2 == 1)


@pytest.mark.parametrize(("table", "name"), ENTRIES)
@LAX
@given(given_samples=FOUR, seed=SEED)
def test_every_entry_repeats_itself_and_leaves_its_input_alone(table, name, given_samples, seed):
    before = [copy_of(sample) for sample in given_samples]
    for sample in given_samples:
        sample.image.flags.writeable = False
        sample.boxes.flags.writeable = False
    apply = as_transform(table, name)
    first = apply(given_samples, np.random.default_rng(seed))
    again = apply(given_samples, np.random.default_rng(seed))
    assert_equal(first, again)
    for sample, copy in zip(given_samples, before, strict=True):
        assert_equal(sample, copy)


@pytest.mark.parametrize(("table", "name"), ENTRIES)
def test_every_entry_changes_the_image_and_not_always_alike(table, name):
    rng = np.random.default_rng(1)
    smooth = np.linspace(20, 235, 64 * 64 * 3).reshape(64, 64, 3)
    given_samples = [
        Sample(
            image=np.clip(smooth + rng.normal(0, 20, smooth.shape), 0, 255).astype(np.uint8),
            boxes=np.array([[4, 4, 60, 60]], np.float32),
            labels=np.array([1]),
            crowd=np.array([False]),
            image_id=place,
        )
        for place in range(4)
    ]
    apply = as_transform(table, name)
    results = [apply(given_samples, np.random.default_rng(seed)).image for seed in range(8)]
    assert not any(np.array_equal(image, given_samples[0].image) for image in results)
    if name not in {"horizontal-flip", "vertical-flip", "blur"}:  # these have one or two outcomes
        assert len({image.tobytes() for image in results}) > 4


@pytest.mark.parametrize("name", sorted(COLOUR_ONLY))
@LAX
@given(sample=samples(), seed=SEED)
def test_colour_alone_touches_no_box(name, sample, seed):
    result = make(TRANSFORMS, name)(sample, np.random.default_rng(seed))
    np.testing.assert_array_equal(result.boxes, sample.boxes)
    np.testing.assert_array_equal(result.labels, sample.labels)
    assert result.image.shape == sample.image.shape


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, made in TRANSFORMS.items()
        if "probability" in {field.name for field in dataclasses.fields(made)}
    ],
)
def test_a_probability_is_how_often_a_transform_acts(name):
    transform = TRANSFORMS[name](probability=0.3)
    image = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    sample = Sample(image, np.zeros((0, 4), np.float32), np.zeros(0, int), np.zeros(0, bool), 1)
    rng = np.random.default_rng(5)
    acted = sum(transform(sample, rng).image is not image for _ in range(400))
    assert 80 < acted < 160  # 120 expected, standard deviation 9


@pytest.mark.parametrize(("table", "name"), ENTRIES)
def test_every_number_of_an_entry_is_checked(table, name):
    for field in dataclasses.fields(table[name]):
        if field.name in {"extra", "clip_to_tile", "letterbox"}:
            continue
        for wrong in (-5000.0, float("nan"), "much", (3.0, 1.0, 2.0, 4.0)):
            if field.name == "image_size" and isinstance(wrong, str):
                continue
            with pytest.raises(InvalidValue, match=re.escape(f".{field.name} is ")):
                table[name](**{field.name: wrong})
