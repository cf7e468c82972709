"""The steps of a run: every image once an epoch, the same choices wherever it is resumed."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, strategies as st

from scantling.training.plan import POOL, StepPlan
from scantling.training.recipe import Recipe, ScheduleSettings, ShapeSettings


def make(images: int = 50, *, size: tuple[int, int] = (416, 416), **settings: object) -> StepPlan:
    recipe = Recipe(**{"epochs": 3, "batch": 4, "nominal_batch": 16, **settings})
    return StepPlan(recipe, images, size, 32)


@given(
    images=st.integers(1, 70),
    batch=st.integers(1, 9),
    nominal=st.integers(1, 40),
    warmup=st.booleans(),
    dynamic=st.booleans(),
)
def test_every_epoch_sees_every_image_and_repeats_only_to_fill_its_last_batch(
    images: int, batch: int, nominal: int, warmup: bool, dynamic: bool
):
    plan = make(
        images,
        batch=batch,
        nominal_batch=nominal,
        schedule=ScheduleSettings(warmup_accumulation=warmup),
        shapes=ShapeSettings(range=1.5 if dynamic else 1.0, dynamic_batch=dynamic, every=1),
    )
    steps = list(plan.iterate())
    assert [step.index for step in steps] == list(range(plan.updates))
    for epoch in range(3):
        own = [step for step in steps if step.epoch == epoch]
        assert [step.last for step in own] == [False] * (len(own) - 1) + [True]
        seen = [image for step in own for rows in step.batches for image in rows]
        assert set(seen) == set(range(images))
        assert len(seen) - images < max(len(own[-1].batches[-1]), 1)


@pytest.mark.parametrize("start", [1, 5, 9])
def test_a_resumed_run_makes_the_same_steps(start: int):
    plan = make(
        shapes=ShapeSettings(range=1.4, every=2, dynamic_batch=True),
        schedule=ScheduleSettings(warmup_accumulation=True),
    )
    assert list(plan.iterate(start=start)) == list(islice(plan.iterate(), start, None))


def test_another_seed_gives_another_order():
    assert next(make(seed=0).iterate()).batches != next(make(seed=1).iterate()).batches


def test_batches_make_up_the_nominal_batch():
    steps = list(make(64, schedule=ScheduleSettings(warmup_epochs=0)).iterate())
    assert {step.images for step in steps} == {16}
    assert {len(step.batches) for step in steps} == {4}


def test_the_warm_up_accumulates_more_and_more():
    schedule = ScheduleSettings(warmup_epochs=1, warmup_accumulation=True)
    counts = [len(step.batches) for step in make(200, schedule=schedule).iterate()]
    assert counts[0] == 1
    warm = counts[: counts.index(4)]
    assert warm == sorted(warm)


def test_random_shapes_are_multiples_between_the_bounds_and_last_so_many_steps():
    plan = make(400, shapes=ShapeSettings(range=1.5, every=5), size=(416, 640))
    sizes = np.array([step.image_size for step in plan.iterate()])
    assert (sizes % 32 == 0).all()
    assert sizes.min(0).tolist() >= [256, 416]
    assert sizes.max(0).tolist() <= [624, 960]
    assert len(np.unique(sizes, axis=0)) > 5
    for start in range(0, len(sizes) - 5, 5):
        assert (sizes[start : start + 5] == sizes[start]).all()
    assert plan.largest_size == (640, 960)


def test_dynamic_batches_are_larger_for_small_shapes_and_never_take_more_memory():
    plan = make(400, shapes=ShapeSettings(range=2.0, every=1, dynamic_batch=True))
    most = 4 * np.prod(plan.largest_size)
    for step in plan.iterate():
        (size,) = {len(rows) for rows in step.batches}
        room = np.prod(plan.largest_size) / np.prod(step.image_size)
        assert size == max(4, int(0.8 * 4 * room))
        assert size * np.prod(step.image_size) <= most


def test_the_pool_of_a_step_holds_its_own_images_and_those_near_in_order():
    seen: list[int] = []
    for step in make(1000, epochs=1).iterate():
        seen += [image for rows in step.batches for image in rows]
        assert len(step.pool) == len(set(step.pool)) == POOL
        assert {image for rows in step.batches for image in rows} <= set(step.pool)
        if len(seen) >= POOL:
            assert set(step.pool) <= set(seen)  # nothing that was not decoded for its own sake
