"""Features → fused features, finest first. Every neck announces its `channels`."""

from collections.abc import Callable

from torch import nn

from .pan import PathAggregation, csp_pan, pan
from .tiny import TinyFpn

# Every neck: Neck(in_channels, spec), in_channels finest first.
NECKS: dict[str, Callable[..., nn.Module]] = {
    "csp-pan": csp_pan,
    "pan": pan,
    "tiny-fpn": TinyFpn,
}

__all__ = ["NECKS", "PathAggregation", "TinyFpn", "csp_pan", "pan"]
