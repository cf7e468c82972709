"""Learning rates against the published formulas, worked out by hand."""

import math

import pytest

from scantling.training.optimizer import decay, learning_rate, momentum
from scantling.training.recipe import OptimizerSettings, Recipe, ScheduleSettings


def make(**schedule: object) -> Recipe:
    return Recipe(
        epochs=100,
        optimizer=OptimizerSettings(learning_rate=0.01, momentum=0.937),
        batch=16,
        nominal_batch=16,
        schedule=ScheduleSettings(**{"warmup_epochs": 0, **schedule}),
    )


def test_scaled_yolov4_decays_by_a_cosine_from_epoch_to_epoch():
    recipe = make(kind="cosine", final=0.2, by_epoch=True)
    for progress in (0, 10.9, 50, 99.99):
        expected = ((1 + math.cos(math.pi * math.floor(progress) / 100)) / 2) * 0.8 + 0.2
        assert decay(recipe, progress) == pytest.approx(expected)


def test_darknet_decays_in_steps_after_its_burn_in():
    recipe = make(kind="steps", steps=(0.8, 0.9), warmup_least=1000, warmup_power=4)
    rates = [
        learning_rate(recipe, progress=progress, batch_index=batch, per_epoch=100)
        for progress, batch in ((0, 0), (5, 500), (10, 1000), (79.9, 7990), (80, 8000), (90, 9000))
    ]
    assert rates == pytest.approx([0, 0.01 / 16, 0.01, 0.01, 0.001, 0.0001])


def test_the_warm_up_of_biases_may_come_from_above_and_that_of_the_momentum_from_below():
    recipe = make(kind="constant", warmup_epochs=2, warmup_bias=0.1, warmup_momentum=0.9)
    where = {"progress": 1.0, "batch_index": 50, "per_epoch": 50}
    assert learning_rate(recipe, **where) == pytest.approx(0.005)
    assert learning_rate(recipe, **where, is_bias=True) == pytest.approx((0.1 + 0.01) / 2)
    assert momentum(recipe, batch_index=50, per_epoch=50) == pytest.approx((0.9 + 0.937) / 2)
    assert momentum(recipe, batch_index=100, per_epoch=50) == 0.937


def test_poly_falls_by_its_power():
    assert decay(make(kind="poly", power=2, final=0), 50) == pytest.approx(0.25)


def test_a_cosine_with_restarts_begins_anew_in_cycles_that_grow():
    recipe = make(kind="cosine", final=0, cycles=2, cycle_growth=3)
    values = [decay(recipe, progress) for progress in (0, 12.5, 24.999, 25, 62.5, 100)]
    assert values == pytest.approx([1, 0.5, 0, 1, 0.5, 0], abs=1e-6)


def test_a_warm_up_takes_at_most_half_of_the_run():
    assert make(warmup_least=10**6).warmup_batches(10) == 500
