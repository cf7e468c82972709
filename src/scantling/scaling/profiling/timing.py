"""Timers that also report how long the threads waited for a processor."""

from collections.abc import Callable
from time import perf_counter, process_time
from typing import Any

import numpy as np

from ...engines.hardware import WAITED, waited_seconds


def timed(run: Callable[[], Any]) -> tuple[float, float]:
    """Time one call by the wall clock: (seconds, share that its threads waited; 0 if unknown)."""
    before = waited_seconds() or 0.0
    start = perf_counter()
    run()
    seconds = perf_counter() - start
    return seconds, max(0.0, (waited_seconds() or 0.0) - before) / max(seconds, 1e-9)


def computed(run: Callable[[], Any]) -> tuple[float, float]:
    """Time one call by processor time: (seconds, 0).

    With one thread it is the time that the run would take on a machine that does nothing else.
    """
    start = process_time()
    run()
    return max(process_time() - start, 1e-9), 0.0


def robust_median(samples: list[tuple[float, float]]) -> tuple[float, float]:
    """(median, spread) of the undisturbed samples, if at least half are undisturbed.

    Where fewer are, the least disturbed half is taken. The spread is half of the distance of the
    quartiles, relative to the median.
    """
    times = np.array(samples)
    order = np.argsort(times[:, 1], kind="stable")
    sound = max(-(-len(order) // 2), int((times[:, 1] <= WAITED).sum()))
    low, median, high = np.percentile(times[order[:sound], 0], [25, 50, 75])
    return float(median), float((high - low) / 2 / median)


# Every clock: a function that runs something once, and says how long it took and how much of that
# was spent waiting.
CLOCKS: dict[str, Callable[[Callable[[], Any]], tuple[float, float]]] = {
    "wall": timed,
    "processor": computed,
}
