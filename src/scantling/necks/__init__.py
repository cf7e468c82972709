"""Features → fused features, finest first. Every neck announces its `channels`."""

from collections.abc import Callable

from torch import nn

from .asff import Asff
from .exact_fusion import ExactFusion
from .graphs import GRAPHS
from .pan import PathAggregation, csp_pan, pan
from .pyramid import Pyramid
from .sfam import Sfam
from .tiny import TinyFpn

# Every neck: Neck(in_channels, spec), in_channels finest first.
NECKS: dict[str, Callable[..., nn.Module]] = {
    **dict.fromkeys(GRAPHS, Pyramid),
    "asff": Asff,
    "csp-pan": csp_pan,
    "exact-fusion": ExactFusion,
    "pan": pan,
    "sfam": Sfam,
    "tiny-fpn": TinyFpn,
}

__all__ = ["NECKS", "ExactFusion", "PathAggregation", "Pyramid", "TinyFpn", "pan"]
