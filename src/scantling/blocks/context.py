"""Context by name: what a neck may do to its coarsest features, to see more of the image."""

from collections.abc import Callable

from torch import nn

from .aspp import AtrousPyramidPool
from .rfb import ReceptiveFieldBlock
from .spp import SpatialPyramidPool

# Every context: Context(channels, activation) → module, and how much wider it makes its input.
CONTEXTS: dict[str, Callable[[int, str], tuple[nn.Module, int]]] = {
    "aspp": lambda channels, activation: (
        AtrousPyramidPool(channels, channels, activation=activation),
        1,
    ),
    "rfb": lambda channels, activation: (
        ReceptiveFieldBlock(channels, channels, activation=activation),
        1,
    ),
    "spp": lambda *_: (SpatialPyramidPool((5, 9, 13)), 4),
}
