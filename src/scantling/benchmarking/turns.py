"""One turn and one stretch of one contender: what is timed, and how."""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np

from ..images import read_image
from ..inference.predictor import Predictor
from ..structures import Image
from .contender import Contender
from .outcome import STAGES, Accuracy, Stretch, Turn
from .process import Alone
from .samples import Sample, timed, waited_seconds

SHORT = 0.1  # seconds; a network below runs once more before it is timed: warm threads and caches
LEAST_BATCHES = 4  # of a stretch, a stream


@dataclass(eq=False)
class Standing:
    """A contender and what is known of it so far.

    Args:
        contender: what is measured.
        predictor: it, loaded; None before and after, and where that failed.
        starts: what its own processes said.
        turns, stretches: measured, without warm-up.
        accuracy: on labelled data.
        problem: why it takes part no longer.
        short: its network runs once before it is timed.
    """

    contender: Contender
    predictor: Predictor | None = None
    starts: list[Alone] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)
    accuracy: Accuracy | None = None
    problem: str | None = None
    short: bool = False
    batch: Image | None = None  # for the network alone

    @property
    def running(self) -> Predictor | None:
        """The predictor, as long as nothing went wrong."""
        return self.predictor if self.problem is None else None


def prepare(standing: Standing, predictor: Predictor, image: Path) -> None:
    """Make a batch for the network alone, of an image."""
    engine, count = predictor.engine, standing.contender.batch
    pixels = read_image(image)
    size = (pixels.shape[0], pixels.shape[1]) if engine.whole_images else engine.image_size
    batch = engine.new_batch(count, size)
    batch[:] = np.asarray(cv2.resize(pixels, (size[1], size[0])), np.uint8)
    standing.predictor, standing.batch = predictor, batch


def take_turn(standing: Standing, predictor: Predictor, images: Sequence[Path], turn: int) -> Turn:
    """Time the network once, and once everything from image files to boxes."""
    engine, batch = predictor.engine, _batch_of(standing, predictor)
    if standing.short:
        engine(batch)
    _, network = timed(lambda: engine(batch))
    count = len(batch)
    first = turn * count % len(images)
    paths = list(islice(cycle(images), first, first + count))

    stages, whole = timed(lambda: _stages(predictor, paths))
    # the clock of the whole also saw threads begin and end, which no long-lived program has
    latency = Sample(sum(stages.values()), whole.waited)
    return Turn(latency, network, {stage: stages[stage] / count for stage in STAGES})


def take_stretch(
    standing: Standing, predictor: Predictor, images: Sequence[Path], seconds: float
) -> Stretch:
    """Work without a pause, on the network alone and from files to boxes, for that long each."""
    batch = standing.contender.batch
    lanes = max(1, predictor.engine.streams)
    skipped, least = 2 * lanes * batch, LEAST_BATCHES * lanes * batch
    with closing(_network_results(standing, predictor, lanes)) as results:
        network = rate_of(results, seconds, skipped=skipped, least=least)
    # as `scantling predict` goes through a folder
    stream = predictor.stream(cycle(map(str, images)), batch_size=batch, keep_images=False)
    with closing(stream) as found:
        files = rate_of((1 for _ in found), seconds, skipped=skipped, least=least)
    return Stretch(files, network)


def rate_of(counts: Iterator[int], seconds: float, *, skipped: int, least: int) -> Sample:
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
        return Sample(rate)
    return Sample(rate, max(0.0, after - before) / max(elapsed, 1e-9))


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


def _network_results(
    standing: Standing, predictor: Predictor, lanes: int
) -> Generator[int, None, None]:
    """The images of each batch that the network has done, with all its streams kept at work."""
    engine, batch = predictor.engine, _batch_of(standing, predictor)
    pending = deque(engine.submit(batch) for _ in range(lanes + 1))
    try:
        while True:
            pending.popleft().result()
            yield len(batch)
            pending.append(engine.submit(batch))
    finally:
        for one in pending:
            one.result()


def _batch_of(standing: Standing, predictor: Predictor) -> Image:
    """What the network alone is given; an empty batch if none was prepared."""
    if standing.batch is None:
        standing.batch = predictor.engine.new_batch(standing.contender.batch)
    return standing.batch
