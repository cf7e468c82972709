"""One trial and one throughput run of one contender: what is timed, and how."""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np

from ..engines.hardware import waited_seconds
from ..images import read_image
from ..inference.predictor import STAGES, Predictor
from ..structures import Image
from .contender import Contender
from .outcome import Accuracy, ThroughputRun, Trial
from .process import IsolatedRun
from .timings import Timing, timed

SHORT = 0.1  # seconds; a network below runs once more before it is timed: warm threads and caches
LEAST_BATCHES = 4  # of a throughput run, a stream


@dataclass(eq=False)
class Entry:
    """A contender and its measurements so far.

    Args:
        contender: what is measured.
        predictor: it, loaded; None before and after, and where that failed.
        starts: results of its own processes.
        trials, throughput_runs: measured, without warm-up.
        accuracy: on labelled data.
        problem: why it takes part no longer.
        short: its network runs once before it is timed.
    """

    contender: Contender
    predictor: Predictor | None = None
    starts: list[IsolatedRun] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    throughput_runs: list[ThroughputRun] = field(default_factory=list)
    accuracy: Accuracy | None = None
    problem: str | None = None
    short: bool = False
    batch: Image | None = None  # for the network alone

    @property
    def running(self) -> Predictor | None:
        """The predictor, as long as nothing went wrong."""
        return self.predictor if self.problem is None else None


def prepare(entry: Entry, predictor: Predictor, image: Path) -> None:
    """Make a batch for the network alone, of an image."""
    engine, count = predictor.engine, entry.contender.batch
    pixels = read_image(image)
    size = (pixels.shape[0], pixels.shape[1]) if engine.whole_images else engine.image_size
    batch = engine.new_batch(count, size)
    batch[:] = np.asarray(cv2.resize(pixels, (size[1], size[0])), np.uint8)
    entry.predictor, entry.batch = predictor, batch


def run_trial(entry: Entry, predictor: Predictor, images: Sequence[Path], trial: int) -> Trial:
    """Time the network once, and once everything from image files to boxes."""
    engine, batch = predictor.engine, _batch_of(entry, predictor)
    if entry.short:
        engine(batch)
    _, network = timed(lambda: engine(batch))
    count = len(batch)
    first = trial * count % len(images)
    paths = list(islice(cycle(images), first, first + count))

    stages, whole = timed(lambda: _stages(predictor, paths))
    # the clock of the whole also saw threads begin and end, which no long-lived program has
    latency = Timing(sum(stages.values()), whole.waited)
    return Trial(latency, network, {stage: stages[stage] / count for stage in STAGES})


def measure_throughput(
    entry: Entry, predictor: Predictor, images: Sequence[Path], seconds: float
) -> ThroughputRun:
    """Measure the throughput of the network alone, and from files to boxes, for that long each."""
    batch = entry.contender.batch
    lanes = max(1, predictor.engine.streams)
    skipped, least = 2 * lanes * batch, LEAST_BATCHES * lanes * batch
    with closing(_network_results(entry, predictor, lanes)) as results:
        network = rate_of(results, seconds, skipped=skipped, least=least)
    # as `scantling predict` goes through a folder
    stream = predictor.stream(cycle(map(str, images)), batch_size=batch, keep_images=False)
    with closing(stream) as found:
        files = rate_of((1 for _ in found), seconds, skipped=skipped, least=least)
    return ThroughputRun(files, network)


def rate_of(counts: Iterator[int], seconds: float, *, skipped: int, least: int) -> Timing:
    """Images a second of work that goes on, once it runs smoothly.

    Args:
        counts: gives the images of each piece of work that is done, when it is done.
        seconds: to go on for.
        skipped: images that come before the clock starts.
        least: images that are waited for, however long it takes.
    """
    done = 0
    while done < skipped:
        done += next(counts, skipped)
    before, start = waited_seconds(), perf_counter()
    images, elapsed = 0, 0.0
    for count in counts:
        images += count
        elapsed = perf_counter() - start
        if elapsed >= seconds and images >= least:
            break
    after = waited_seconds()
    rate = images / max(elapsed, 1e-9)
    if before is None or after is None:
        return Timing(rate)
    return Timing(rate, max(0.0, after - before) / max(elapsed, 1e-9))


def _stages(predictor: Predictor, paths: Sequence[Path]) -> dict[str, float]:
    """Seconds of each stage for these images, in one batch."""
    totals = dict.fromkeys(STAGES, 0.0)
    names = [str(path) for path in paths]
    stream = predictor.stream(names, batch_size=len(names), keep_images=False)
    with closing(stream) as found:
        for one in found:
            for stage, seconds in asdict(one.seconds).items():
                totals[stage] += seconds
    return totals


def _network_results(entry: Entry, predictor: Predictor, lanes: int) -> Generator[int, None, None]:
    """The images of each batch that the network has done, with all its streams kept at work."""
    engine, batch = predictor.engine, _batch_of(entry, predictor)
    pending = deque(engine.submit(batch) for _ in range(lanes + 1))
    try:
        while True:
            pending.popleft().result()
            yield len(batch)
            pending.append(engine.submit(batch))
    finally:
        for one in pending:
            one.result()


def _batch_of(entry: Entry, predictor: Predictor) -> Image:
    """What the network alone is given; an empty batch if none was prepared."""
    if entry.batch is None:
        entry.batch = predictor.engine.new_batch(entry.contender.batch)
    return entry.batch
