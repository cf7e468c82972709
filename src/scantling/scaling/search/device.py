"""A target device: predicts latency and memory from its profile."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import lookup
from ...specs import ModelSpec
from ..costs import NetworkCost
from ..device_profile import DeviceProfile, read_profile
from ..latency import LatencyModel
from ..latency.memory import RULES
from ..latency.prediction import tabulate_cost
from .candidate_table import CostEstimates, CostModel

logger = logging.getLogger(__name__)

HALF = ("bf16", "fp16")


@dataclass(frozen=True, eq=False)
class Device:
    """A target device, which predicts what a model costs on it.

    Args:
        name: of the profile.
        profile: what was measured.
        model: of latency, fitted to it.
    """

    name: str
    profile: DeviceProfile
    model: LatencyModel

    @property
    def description(self) -> str:
        """One-line description of the device."""
        one = self.profile
        return (
            f"{self.name}: {one.processor or one.device}, {one.engine} {one.engine_version}, "
            f"{one.precision}, {one.threads} threads; on chains of layers that it had not seen, the"
            f" latency model is off by {one.whole.error:.1%} in the median"
        )

    @property
    def cost_models(self) -> dict[str, CostModel]:
        """Its cost models by constraint, for a `CandidateTable`."""
        return {"memory": self.memory, "latency": self.latency}

    def latency(self, spec: ModelSpec, cost: NetworkCost, sides: Sequence[int]) -> CostEstimates:
        """Predicted latency at each image side: image in memory to boxes and scores."""
        table = tabulate_cost(spec, cost)
        own = cost.image_size[0]
        middle = np.asarray(
            self.model.latency_of(table, [(side / own, side / own) for side in sides])
        )
        bar = self.model.predict(table)  # relative to the time, it is as long at every size
        return CostEstimates(
            middle, middle * (bar.low / bar.seconds), middle * (bar.high / bar.seconds)
        )

    def memory(self, _: ModelSpec, cost: NetworkCost, sides: Sequence[int]) -> CostEstimates:
        """Predicted memory of the model at each image side, without the runtime itself."""
        rule = lookup(RULES, self.profile.engine, "engine")
        size = 0.5 if self.profile.precision in HALF else 1.0
        grown = cost.peak_bytes * (np.asarray(sides, np.float64) / cost.image_size[0]) ** 2
        middle = rule.weights * cost.weight_bytes + size * rule.activations * grown
        return CostEstimates(middle, middle * (1 - rule.error), middle * (1 + rule.error))


def open_device(path: str | Path) -> Device:
    """Load a target device from its profile; the device need not be at hand.

    Raises:
        InvalidData, InvalidProfile: the file cannot be read, or is no profile.
    """
    profile = read_profile(path)
    if profile.doubt:
        logger.warning(f"{path}: {profile.doubt}")
    return Device(Path(path).stem, profile, LatencyModel(profile))
