"""The exponential moving average of the weights, which is what gets evaluated and saved."""

import math
from copy import deepcopy

import torch
from torch import Tensor, nn

from .recipe import EmaSettings


class EMA:
    """The exponential moving average of a network.

    Weights and the statistics of normalisations are averaged; counters are copied.

    Args:
        network: to average.
        settings: how slowly it follows.

    Sources: Scaled-YOLOv4 (ramp: decay · (1 − e^(−n/2000))); EfficientDet (ratio:
    min(decay, (1 + n) / (10 + n))).
    """

    def __init__(self, network: nn.Module, settings: EmaSettings) -> None:
        self.settings = settings
        self.network = deepcopy(network).eval().requires_grad_(False)
        self._followed = network

    @torch.no_grad()
    def update(self, updates: int) -> None:
        """Average in the present weights.

        Args:
            updates: of the weights so far, this one included.
        """
        decay = ema_decay(self.settings, updates)
        own, their = self._state(self.network), self._state(self._followed)
        pairs = list(zip(own, their, strict=True))
        smooth = [pair for pair in pairs if pair[0].is_floating_point()]
        counts = [pair for pair in pairs if not pair[0].is_floating_point()]
        torch._foreach_lerp_([a for a, _ in smooth], [b for _, b in smooth], weight=1 - decay)
        if counts:
            torch._foreach_copy_([a for a, _ in counts], [b for _, b in counts])

    @staticmethod
    def _state(network: nn.Module) -> list[Tensor]:
        return [*network.parameters(), *network.buffers()]


def ema_decay(settings: EmaSettings, updates: int) -> float:
    """The decay at one update, which is smaller at the start."""
    if settings.kind == "ratio":
        return min(settings.decay, (1 + updates) / (10 + updates))
    return (
        settings.decay * (1 - math.exp(-updates / settings.ramp))
        if settings.ramp
        else (settings.decay)
    )
