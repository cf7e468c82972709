"""Build what was chosen and measure it on this machine, beside what was predicted."""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from ...checkpoints import create_model
from ...engines.hardware import find_processor
from ...engines.opening import open_engine
from ...errors import InvalidValue
from ..measure import engine_version
from ..profile import check_profile
from .device import Device
from .run import Found

logger = logging.getLogger(__name__)

SECONDS = 5.0  # of measuring, after warming up
WARM_UP = 3
FEWEST, MOST = 10, 500


@dataclass(frozen=True)
class Measured:
    """What a chosen model took on this machine.

    Args:
        seconds: median of one image, from pixels in memory to boxes and scores.
        low, high: quartiles.
        turns: how often it was run.
        predicted: seconds, with the ends of the error bar.
        limit: seconds allowed; None without one.
        warnings: what makes the profile doubtful here.
    """

    seconds: float
    low: float
    high: float
    turns: int
    predicted: tuple[float, float, float]
    limit: float | None
    warnings: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether it is within the budget."""
        return self.limit is None or self.seconds <= self.limit

    def to_record(self) -> dict[str, Any]:
        """The same as plain values, for JSON."""
        return {**asdict(self), "passed": self.passed}

    def describe(self) -> str:
        """Measured against predicted, in a sentence."""
        predicted, low, high = (one * 1e3 for one in self.predicted)
        error = self.predicted[0] / self.seconds - 1
        limit = "" if self.limit is None else f"; the budget is {self.limit * 1e3:.3g} ms"
        verdict = "" if self.limit is None else (" and is met" if self.passed else " and is missed")
        return (
            f"measured: {self.seconds * 1e3:.3g} ms (quartiles {self.low * 1e3:.3g} to "
            f"{self.high * 1e3:.3g}, {self.turns} turns) against {predicted:.3g} ms predicted "
            f"({low:.3g} to {high:.3g}), {error:+.1%}{limit}{verdict}"
        )


def verify_fit(
    found: Found,
    *,
    seconds: float = SECONDS,
    cache: Path | None = None,
) -> Measured:
    """Measure the choice with the engine, precision and threads of its device's profile.

    Args:
        found: with a device.
        seconds: to spend on it.
        cache: folder for what is converted.

    Raises:
        InvalidValue: it was found without a device.
        MissingPackage: the engine is not installed here.
    """
    if found.device is None:
        raise InvalidValue("--verify", True, "a device profile too: --device box.json")
    profile = found.device.profile
    warnings = _doubts(found.device)
    for one in warnings:
        logger.info(one)
    model = create_model(found.spec)
    engine = open_engine(
        model,
        engine=profile.engine,
        device=profile.device,
        precision=profile.precision,
        threads=profile.threads,
        cache=cache,
    )
    try:
        images = engine.new_batch(1)
        images[:] = np.random.default_rng(0).integers(0, 256, images.shape, np.uint8)
        times = _take_times(lambda: engine(images), seconds)
    finally:
        engine.close()
    low, middle, high = np.percentile(times, [25, 50, 75]).tolist()
    costs = found.fit.costs
    predicted = (costs.values["latency"], *costs.bars["latency"])
    return Measured(
        middle, low, high, len(times), predicted, found.fit.budget.latency, tuple(warnings)
    )


def _doubts(device: Device) -> list[str]:
    """What makes a profile doubtful on this machine."""
    return check_profile(
        device.profile,
        engine_version=engine_version(device.profile.engine),
        processor=find_processor().name,
        source=device.name,
    )


def _take_times(run: Callable[[], object], seconds: float) -> list[float]:
    """Seconds of turns until the time is over."""
    for _ in range(WARM_UP):
        run()
    times: list[float] = []
    begin = perf_counter()
    while len(times) < FEWEST or (perf_counter() - begin < seconds and len(times) < MOST):
        start = perf_counter()
        run()
        times.append(perf_counter() - start)
    return times
