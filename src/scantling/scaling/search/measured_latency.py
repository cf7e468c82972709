"""Build a scaled model and measure its latency on this machine, against the prediction."""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from ...checkpoints import create_model
from ...engines import EngineSettings
from ...engines.hardware import find_processor
from ...engines.runtimes import open_engine
from ...errors import InvalidValue
from ..device_profile import check_profile, engine_version
from .device import Device
from .scaled_model import ScaledModel

logger = logging.getLogger(__name__)

SECONDS = 5.0  # of measuring, after warming up
WARM_UP = 3
FEWEST, MOST = 10, 500


@dataclass(frozen=True)
class MeasuredLatency:
    """Measured latency of a scaled model on this machine.

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
        """Whether it meets the latency limit."""
        return self.limit is None or self.seconds <= self.limit

    def to_record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "passed": self.passed}

    def describe(self) -> str:
        """Measured against predicted latency, in a sentence."""
        predicted, low, high = (one * 1e3 for one in self.predicted)
        error = self.predicted[0] / self.seconds - 1
        limit = "" if self.limit is None else f"; the budget is {self.limit * 1e3:.3g} ms"
        verdict = "" if self.limit is None else (" and is met" if self.passed else " and is missed")
        return (
            f"measured: {self.seconds * 1e3:.3g} ms (quartiles {self.low * 1e3:.3g} to "
            f"{self.high * 1e3:.3g}, {self.turns} turns) against {predicted:.3g} ms predicted "
            f"({low:.3g} to {high:.3g}), {error:+.1%}{limit}{verdict}"
        )


def verify_latency(
    scaled: ScaledModel, *, seconds: float = SECONDS, cache: Path | None = None
) -> MeasuredLatency:
    """Measure a scaled model with the engine, precision and threads of its device's profile.

    Args:
        scaled: with a device.
        seconds: to spend on it.
        cache: folder for what is converted.

    Raises:
        InvalidValue: the model was scaled without a device.
        MissingPackage: the engine is not installed here.
    """
    if scaled.device is None:
        raise InvalidValue("verify", True, "a device profile too: --device-profile box.json")
    profile = scaled.device.profile
    warnings = _doubts(scaled.device)
    for one in warnings:
        logger.info(one)
    model = create_model(scaled.spec)
    engine = open_engine(
        model,
        EngineSettings(
            engine=profile.engine,
            device=profile.device,
            precision=profile.precision,
            threads=profile.threads,
            cache=cache,
        ),
    )
    try:
        images = engine.new_batch(1)
        images[:] = np.random.default_rng(0).integers(0, 256, images.shape, np.uint8)
        times = _take_times(lambda: engine(images), seconds)
    finally:
        engine.close()
    low, middle, high = np.percentile(times, [25, 50, 75]).tolist()
    costs = scaled.search.costs
    predicted = (costs.values["latency"], *costs.bars["latency"])
    return MeasuredLatency(
        middle, low, high, len(times), predicted, scaled.search.budget.latency, tuple(warnings)
    )


def _doubts(device: Device) -> list[str]:
    """Warnings where the profile differs from this machine."""
    return check_profile(
        device.profile,
        engine_version=engine_version(device.profile.engine),
        processor=find_processor().name,
        source=device.name,
    )


def _take_times(run: Callable[[], object], seconds: float) -> list[float]:
    """Time repeated runs until the time is up."""
    for _ in range(WARM_UP):
        run()
    times: list[float] = []
    begin = perf_counter()
    while len(times) < FEWEST or (perf_counter() - begin < seconds and len(times) < MOST):
        start = perf_counter()
        run()
        times.append(perf_counter() - start)
    return times
