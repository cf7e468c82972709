"""Whether a reduced precision is faster here: not every processor has arithmetic for it."""

import logging
from contextlib import AbstractContextManager, closing
from pathlib import Path
from time import perf_counter

import numpy as np

from ..engines import Engine, EngineSettings, open_engine

logger = logging.getLogger(__name__)

TIMES = 15  # that each graph is run, interleaved
WORTH_IT = 1.05  # a gain below this is none


def open_on_cpu(path: Path, engine: str) -> AbstractContextManager[Engine]:
    """Open an exported file in an engine, which is closed at the end of the `with`."""
    settings = EngineSettings(engine=engine, device="cpu", cache=path.parent)
    return closing(open_engine(path, settings))


def measure_speedup(reduced: Path, plain: Path, precision: str, engine: str) -> float:
    """Time a graph of reduced precision against the same one in fp32; log it if it is not faster.

    The runs of the two are interleaved, and each counts with the one beside it.

    Args:
        reduced: the file.
        plain: the same graph, everything in fp32.
        precision: of the reduced graph.
        engine: that runs both.
    """
    with open_on_cpu(reduced, engine) as first, open_on_cpu(plain, engine) as second:
        engines = [(one, one.new_batch(1)) for one in (first, second)]
        seconds = np.empty((TIMES + 1, 2))
        for turn in range(TIMES + 1):
            for place, (one, images) in enumerate(engines):
                start = perf_counter()
                one(images)
                seconds[turn, place] = perf_counter() - start
    speedup = float(np.median(seconds[1:, 1] / seconds[1:, 0]))  # the first run prepares
    if speedup < WORTH_IT:
        told = f"{precision} is not faster here: {speedup:.2f} times as fast as fp32. Measure it "
        told += "where it is to run"
        if precision == "int8":
            told += (
                "; a processor needs VNNI, AMX or dot-product instructions for it to pay, and "
                "depthwise convolutions gain little"
            )
        logger.info(told)
    return speedup
