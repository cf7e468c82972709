"""Timings, their median and spread, and ratios trial by trial."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..engines.hardware import WAITED, waited_seconds
from ..errors import InvalidValue

T = TypeVar("T")

ENOUGH = 10  # undisturbed samples that count without the others; of fewer than twice as many, half


@dataclass(frozen=True)
class Timing:
    """A duration or a rate, and how much of it was spent waiting.

    Args:
        value: seconds by the clock; of a throughput, images a second.
        waited: for how large a share of that time threads of this process were ready to run and
            the scheduler ran something else; None where the system does not say. Several threads
            that wait at once count each, so it may be above 1.
    """

    value: float
    waited: float | None = None

    @property
    def disturbed(self) -> bool:
        """Whether the processors were wanted elsewhere while it was taken."""
        return self.waited is not None and self.waited > WAITED


@dataclass(frozen=True)
class Spread:
    """The middle of some samples, and how far they lie apart.

    Args:
        median, low, high: of the samples; low is the smallest, high the largest.
        p95, p99: what 95 and 99 of 100 samples do not exceed; between two samples it is
            interpolated, so p99 of fewer than 100 samples says little more than the largest.
        count: of the samples that these numbers are of.
        disturbed: samples during which the scheduler made threads of this process wait.
        cleaned: the disturbed ones are left out; if not, too few others were left, and they count.
    """

    median: float
    low: float
    high: float
    p95: float
    p99: float
    count: int
    disturbed: int
    cleaned: bool


@dataclass(frozen=True)
class Ratio:
    """How many times as fast as another, trial by trial.

    Args:
        median: of the ratios of the trials; above 1 is faster than the other.
        lower, upper: quartiles: half of the ratios lie between them.
        count: trials.
    """

    median: float
    lower: float
    upper: float
    count: int


def timed(work: Callable[[], T]) -> tuple[T, Timing]:
    """Do something once, and say how long it took and how much of that was spent waiting."""
    before = waited_seconds()
    start = perf_counter()
    result = work()
    seconds = perf_counter() - start
    after = waited_seconds()
    if before is None or after is None:
        return result, Timing(seconds)
    # a thread that ended in between takes its count along
    return result, Timing(seconds, max(0.0, after - before) / seconds if seconds else 0.0)


def spread_of(samples: Sequence[Timing]) -> Spread | None:
    """The median of the samples and their spread; None of none."""
    if not samples:
        return None
    kept = undisturbed(samples)
    values = np.array([sample.value for sample in samples])[kept]
    p95, p99 = np.percentile(values, [95, 99]).tolist()
    disturbed = sum(sample.disturbed for sample in samples)
    return Spread(
        median=float(np.median(values)),
        low=float(values.min()),
        high=float(values.max()),
        p95=p95,
        p99=p99,
        count=len(values),
        disturbed=disturbed,
        cleaned=len(values) < len(samples),
    )


def undisturbed(samples: Sequence[Timing]) -> NDArray[np.bool_]:
    """Which samples count: those that were not disturbed, if they are enough, else all."""
    return _enough([sample.disturbed for sample in samples])


def ratio_of(
    base: Sequence[Timing], others: Sequence[Timing], *, rates: bool = False
) -> Ratio | None:
    """How many times as fast the others are as the base, from pairs of one trial; None of none.

    Args:
        base, others: one timing a trial each; only pairs of which neither was disturbed count, if
            they are enough.
        rates: the samples are images a second, where more is faster, not seconds.

    Raises:
        InvalidValue: they have not the same number of trials.
    """
    if len(base) != len(others):
        raise InvalidValue("the trials", (len(base), len(others)), "as many of one as of the other")
    if not base:
        return None
    kept = _enough([a.disturbed or b.disturbed for a, b in zip(base, others, strict=True)])
    first, second = (
        np.array([sample.value for sample in samples])[kept] for samples in (base, others)
    )
    ratios = second / first if rates else first / second
    lower, upper = np.percentile(ratios, [25, 75]).tolist()
    return Ratio(float(np.median(ratios)), lower, upper, len(ratios))


def as_milliseconds(spread: Spread | None) -> dict[str, Any] | None:
    """A spread of seconds as plain values in milliseconds, for JSON."""
    if spread is None:
        return None
    names = ("median", "low", "high", "p95", "p99")
    scaled = {f"{name}_ms": getattr(spread, name) * 1e3 for name in names}
    counts = ("count", "disturbed", "cleaned")
    return scaled | {name: getattr(spread, name) for name in counts}


def _enough(disturbed: Sequence[bool]) -> NDArray[np.bool_]:
    sound = ~np.array(disturbed, np.bool_)
    enough = min(ENOUGH, -(-len(sound) // 2))
    return sound if sound.sum() >= enough else np.ones(len(sound), np.bool_)
