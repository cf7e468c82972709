"""Whether INT8 is faster on this machine: not every processor has arithmetic for it."""

from pathlib import Path
from time import perf_counter

import numpy as np

from ..engines import open_engine
from .draft import Say

TIMES = 15  # that each graph is run, in turns
WORTH_IT = 1.05  # a gain below this is none


def measure_speedup(int8: Path, plain: Path, engine: str, say: Say) -> float:
    """How many times faster the INT8 graph is than the same one in fp32; says so if it is not.

    The two run in turns, and each run counts with the one beside it.

    Args:
        int8: the file.
        plain: the same graph, everything in floating point.
        engine: that runs both.
        say: told where INT8 does not pay.
    """
    engines = tuple(
        open_engine(path, engine=engine, device="cpu", cache=path.parent) for path in (int8, plain)
    )
    try:
        images = [one.new_batch(1) for one in engines]
        seconds = np.empty((TIMES + 1, 2))
        for turn in range(TIMES + 1):
            for place, one in enumerate(engines):
                start = perf_counter()
                one(images[place])
                seconds[turn, place] = perf_counter() - start
    finally:
        for one in engines:
            one.close()
    speedup = float(np.median(seconds[1:, 1] / seconds[1:, 0]))  # the first run prepares
    if speedup < WORTH_IT:
        say(
            f"INT8 is not faster here: {speedup:.2f} times as fast as fp32. Measure it where it is "
            "to run; a processor needs VNNI, AMX or dot-product instructions for it to pay, and "
            "depthwise convolutions gain little"
        )
    return speedup
