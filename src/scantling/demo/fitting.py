"""The demonstration fitted to a machine: a step of training is timed, and the epochs follow.

Smaller images do not help: at 160x224 pixels 7 epochs left AP50 at 0.73; 6 at full size, which
take little longer, left it at 0.82.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

from ..engines.torch_engine import torch_threads
from ..io import count_cores
from ..training import StepDone, open_run
from .recipe import BATCH, make_settings

WARM, TIMED = 2, 5  # steps with each number of threads
SPARE = 1.2  # times the steps: what evaluating meanwhile, saving and the report take
EPOCHS_A_MINUTE = 9  # the most; so a quick machine does the same as an ordinary one
FEWEST_EPOCHS = 7  # of 800 pictures, below which AP50 need not reach 0.8


@dataclass(frozen=True)
class Fit:
    """How to train in the time that there is.

    Args:
        epochs: how many.
        threads: of torch.
        seconds: that it will take, as far as a few steps tell.
    """

    epochs: int
    threads: int
    seconds: float


def fit_training(steps: Mapping[int, float], *, images: int, minutes: float, seconds: float) -> Fit:
    """Epochs and threads for the time that is left.

    Args:
        steps: seconds of a step, by threads of torch.
        images: to learn from.
        minutes: that were asked for, which set the most epochs.
        seconds: that are left for training.
    """
    usual = max(1, round(EPOCHS_A_MINUTE * minutes))
    threads = min(steps, key=lambda count: steps[count])
    epoch = SPARE * steps[threads] * -(-images // BATCH)
    affordable = int(max(0.0, seconds) / max(epoch, 1e-9))
    epochs = min(usual, max(FEWEST_EPOCHS, affordable))
    return Fit(epochs, threads, epochs * epoch)


def time_steps(start: Path, data: Path, *, seed: int, folder: Path) -> dict[int, float]:
    """Seconds of a step of training, by threads of torch: of one, and of all cores up to four.

    Args:
        start: the model.
        data: to train on.
        seed: of the training.
        folder: to keep decoded images in, and a run that is thrown away.
    """
    settings = make_settings(1, seed) | {"anchors": {"fit": "never"}}
    run = open_run(
        start,
        data,
        recipe="scaled-yolov4",
        settings=settings,
        device="cpu",
        out=folder / "trial",
        cache=folder,
    )
    taken: dict[int, float] = {}
    # a generator that is left early ends its loader
    with closing(_steps_only(run.events())) as events:
        for threads in sorted({1, min(4, count_cores())}):
            with torch_threads(threads):
                seconds = list(_time(events))
            if seconds:
                taken[threads] = median(seconds)
    return taken


def _steps_only(events: Iterator[object]) -> Generator[StepDone, None, None]:
    """The updates among the events of a run, which ends with this generator."""
    try:
        yield from (event for event in events if isinstance(event, StepDone))
    finally:
        close: Callable[[], None] = getattr(events, "close", lambda: None)
        close()


def _time(events: Iterator[StepDone]) -> Iterator[float]:
    """Seconds of the steps after the first ones."""
    for number in range(WARM + TIMED):
        begin = perf_counter()
        if next(events, None) is None:
            return
        if number >= WARM:
            yield perf_counter() - begin
