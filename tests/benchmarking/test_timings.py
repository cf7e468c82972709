"""Medians, percentiles, ratios and the filter of disturbed samples, by hand-computed answers."""

import sys
import threading
from time import perf_counter

import pytest

from scantling.benchmarking.timings import (
    Timing,
    as_milliseconds,
    ratio_of,
    spread_of,
    timed,
    undisturbed,
)
from scantling.engines.hardware import waited_seconds
from scantling.errors import InvalidValue

LONG = 0.5  # of its time a sample waited


def quiet(*seconds: float) -> list[Timing]:
    return [Timing(one, 0.0) for one in seconds]


def test_a_spread_is_median_ends_and_interpolated_percentiles():
    # 1 … 101: p95 lies at place 95 of 0 … 100, p99 at place 99
    spread = spread_of(quiet(*range(1, 102)))
    assert spread is not None
    assert (spread.median, spread.low, spread.high) == (51, 1, 101)
    assert spread.p95 == pytest.approx(96)
    assert spread.p99 == pytest.approx(100)
    assert (spread.count, spread.disturbed, spread.cleaned) == (101, 0, False)
    # of two samples p95 is nineteen twentieths of the way
    two = spread_of(quiet(1, 3))
    assert two is not None
    assert two.p95 == pytest.approx(2.9)
    assert spread_of([]) is None


def test_disturbed_samples_are_left_out_when_enough_others_are_there():
    samples = [*quiet(*[2.0] * 10), *[Timing(100.0, LONG)] * 30]
    spread = spread_of(samples)
    assert spread is not None
    assert (spread.median, spread.high) == (2, 2)
    assert (spread.count, spread.disturbed, spread.cleaned) == (10, 30, True)


def test_all_samples_count_when_too_few_were_undisturbed():
    samples = [*quiet(*[2.0] * 9), *[Timing(100.0, LONG)] * 30]
    spread = spread_of(samples)
    assert spread is not None
    assert spread.median == 100
    assert (spread.count, spread.disturbed, spread.cleaned) == (39, 30, False)


@pytest.mark.parametrize(("sound", "enough"), [(1, False), (2, True)])
def test_of_few_samples_half_must_be_undisturbed(sound: int, enough: bool):
    samples = [*quiet(*[1.0] * sound), *[Timing(1.0, LONG)] * (4 - sound)]
    assert undisturbed(samples).sum() == (sound if enough else 4)


def test_a_sample_is_disturbed_above_three_hundredths():
    assert not Timing(1.0, 0.03).disturbed
    assert Timing(1.0, 0.031).disturbed
    assert not Timing(1.0, None).disturbed


def test_a_ratio_is_the_median_of_the_ratios_of_the_trials():
    # 10/5, 12/4, 8/8, 20/4, 9/3 = 2, 3, 1, 5, 3: not 10/4, the ratio of the medians
    ratio = ratio_of(quiet(10, 12, 8, 20, 9), quiet(5, 4, 8, 4, 3))
    assert ratio is not None
    assert ratio.median == 3
    assert (ratio.lower, ratio.upper) == (2, 3)
    assert ratio.count == 5


def test_a_ratio_of_rates_is_turned_round():
    ratio = ratio_of(quiet(10, 10), quiet(20, 40), rates=True)
    assert ratio is not None
    assert ratio.median == 3


def test_a_turn_in_which_either_was_disturbed_has_no_part_in_the_ratio():
    base = [Timing(900.0, LONG), *quiet(4, 4, 4)]
    others = [*quiet(2), Timing(900.0, LONG), *quiet(2, 2)]
    ratio = ratio_of(base, others)
    assert ratio is not None
    assert (ratio.median, ratio.lower, ratio.upper, ratio.count) == (2, 2, 2, 2)


def test_trials_of_unequal_number_are_no_pairs():
    with pytest.raises(InvalidValue, match="as many of one as of the other"):
        ratio_of(quiet(1), quiet(1, 2))
    assert ratio_of([], []) is None


def test_milliseconds_are_a_thousand_times_as_many():
    plain = as_milliseconds(spread_of(quiet(0.25, 0.5, 1.0)))
    assert plain is not None
    assert (plain["median_ms"], plain["low_ms"], plain["high_ms"]) == (500, 250, 1000)
    assert plain["count"] == 3
    assert as_milliseconds(None) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how long threads waited")
def test_threads_that_want_more_than_the_processors_are_seen_to_wait():
    import os

    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})  # of this thread, and those that it starts
    try:
        stop = threading.Event()
        blocks = [bytes(1 << 20)] * 200

        def work() -> None:
            import hashlib

            while not stop.is_set():  # hashing lets go of the interpreter
                for block in blocks:
                    hashlib.sha256(block)

        other = threading.Thread(target=work)
        other.start()
        before = waited_seconds()

        def contend() -> None:
            import hashlib

            end = perf_counter() + 0.3
            while perf_counter() < end:
                hashlib.sha256(blocks[0])

        _, sample = timed(contend)
        stop.set()
        other.join()
    finally:
        os.sched_setaffinity(0, allowed)
    assert before is not None
    assert sample.disturbed
    assert sample.value >= 0.3


def test_timing_gives_what_was_done():
    result, sample = timed(lambda: 42)
    assert result == 42
    assert 0 <= sample.value < 60
