"""Timers that also report how long the threads waited for a processor."""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np

WAITED = 0.03  # share of its time that a sample's threads may have waited
_THREADS = Path("/proc/self/task")  # Linux only


def timed(run: Callable[[], Any]) -> tuple[float, float]:
    """Time one call by the wall clock: (seconds, share that its threads waited)."""
    before = waited_seconds()
    start = perf_counter()
    run()
    seconds = perf_counter() - start
    return seconds, max(0.0, waited_seconds() - before) / max(seconds, 1e-9)


def computed(run: Callable[[], Any]) -> tuple[float, float]:
    """Time one call by processor time: (seconds, 0).

    With one thread it is the time that the run would take on a machine that does nothing else.
    """
    start = process_time()
    run()
    return max(process_time() - start, 1e-9), 0.0


def waited_seconds() -> float:
    """Seconds that this process's threads waited for a processor; 0 where unknown."""
    total = 0
    try:
        for thread in _THREADS.iterdir():
            try:
                total += int((thread / "schedstat").read_bytes().split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue  # ended since it was listed, or not told
    except (OSError, IndexError, ValueError):
        return 0.0
    return total * 1e-9


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
