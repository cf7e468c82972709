"""The smallest parts. Blocks take numbers, not specs."""

from collections.abc import Callable

from torch import nn

from .activation import ACTIVATIONS
from .conv import ConvNormAct, fuse_norms
from .csp import CrossJoin, CspStage, ReversedCsp, cross_bypass
from .osa import ConvStage, CspOsaStage, PooledConvStage
from .residual import CspResNextStage, DarkResidual, ResidualStage, ResNextBlock, add_channels
from .sam import ModifiedSam
from .spp import SpatialPyramidPool

# Every stage: Stage(in_channels, channels, depth, *, stride, activation, …the settings of StageSpec
# that it has). `feature_channels` says how many of its last channels go to the neck.
STAGES: dict[str, Callable[..., nn.Module]] = {
    "conv": ConvStage,
    "csp": CspStage,
    "csp-osa": CspOsaStage,
    "csp-resnext": CspResNextStage,
    "pool-conv": PooledConvStage,
    "residual": ResidualStage,
}

__all__ = [
    "ACTIVATIONS",
    "STAGES",
    "ConvNormAct",
    "ConvStage",
    "CrossJoin",
    "CspOsaStage",
    "CspResNextStage",
    "CspStage",
    "DarkResidual",
    "ModifiedSam",
    "PooledConvStage",
    "ResNextBlock",
    "ResidualStage",
    "ReversedCsp",
    "SpatialPyramidPool",
    "add_channels",
    "cross_bypass",
    "fuse_norms",
]
