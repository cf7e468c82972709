"""A device that models are chosen for, from its profile."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import lookup
from ...specs import ModelSpec
from ..costs import NetworkCost
from ..latency import LatencyModel
from ..latency.memory import RULES
from ..latency.network import tabulate_cost
from ..profile import Profile, read_profile
from .rows import Spans

HALF = ("bf16", "fp16")


@dataclass(frozen=True, eq=False)
class Device:
    """What costs a model has on a device, and how the device was measured.

    Args:
        name: of the profile.
        profile: what was measured.
        model: of latency, fitted to it.
    """

    name: str
    profile: Profile
    model: LatencyModel

    @property
    def description(self) -> str:
        """The device in a line."""
        one = self.profile
        return (
            f"{self.name}: {one.processor or one.device}, {one.engine} {one.engine_version}, "
            f"{one.precision}, {one.threads} threads; on chains of layers that it had not seen, the"
            f" latency model is off by {one.whole.error:.1%} in the median"
        )

    def latency(self, spec: ModelSpec, cost: NetworkCost, sides: Sequence[int]) -> Spans:
        """Seconds from the image in memory to boxes and scores, at each image side."""
        table = tabulate_cost(spec, cost)
        own = cost.image_size[0]
        middle = np.asarray(
            self.model.latency_of(table, [(side / own, side / own) for side in sides])
        )
        bar = self.model.predict(table)  # relative to the time, it is as long at every size
        return Spans(middle, middle * (bar.low / bar.seconds), middle * (bar.high / bar.seconds))

    def memory(self, _: ModelSpec, cost: NetworkCost, sides: Sequence[int]) -> Spans:
        """Bytes that the engine takes for a model, beside those of the runtime itself."""
        rule = lookup(RULES, self.profile.engine, "engine")
        size = 0.5 if self.profile.precision in HALF else 1.0
        grown = cost.peak_bytes * (np.asarray(sides, np.float64) / cost.image_size[0]) ** 2
        middle = rule.weights * cost.weight_bytes + size * rule.activations * grown
        return Spans(middle, middle * (1 - rule.error), middle * (1 + rule.error))


def open_device(path: str | Path) -> Device:
    """The device of a profile, which need not be at hand.

    Raises:
        InvalidData, InvalidProfile: the file cannot be read, or is no profile.
    """
    profile = read_profile(path)
    return Device(Path(path).stem, profile, LatencyModel(profile))
