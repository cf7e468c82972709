"""Measure the peaks of a roofline: memory bandwidth and dense convolutions."""

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

from .chain import Chain, ChainBuilder

STREAM_BYTES = 2**28  # an array, larger than any cache
_TURNS = 5
_DENSE = ((256, 52), (128, 104), (512, 26))  # width, side: shapes that engines are best at


def measure_bandwidth() -> float:
    """Memory bandwidth of a large copy in bytes per second, read plus written; best of a few runs.

    By one thread: what one thread reaches is most of what a processor of few cores has.
    """
    source = np.ones(STREAM_BYTES // 8)
    target = np.empty_like(source)
    best = np.inf
    for _ in range(_TURNS):
        start = perf_counter()
        np.copyto(target, source)
        best = min(best, perf_counter() - start)
    return 2 * STREAM_BYTES / best


def dense_chains() -> list[Chain]:
    """Chains of four dense 3×3 convolutions, in shapes that engines are fastest at."""
    made = []
    for width, side in _DENSE:
        chain = ChainBuilder("peak", (width, side, side))
        x = 0
        for _ in range(4):
            x = chain.conv(x, width, "relu", kernel=3)
        chain.add("mean", x)
        made.append(chain.build())
    return made


def measure_macs(runs: list[tuple[int, Callable[[], Any]]]) -> float:
    """Peak multiply-accumulates per second: the best of some chains.

    Args:
        runs: multiply-accumulates of each, and what runs it.
    """
    best = 0.0
    for macs, run in runs:
        run()
        for _ in range(_TURNS):
            start = perf_counter()
            run()
            best = max(best, macs / (perf_counter() - start))
    return best
