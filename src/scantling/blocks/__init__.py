"""The smallest parts. Blocks take numbers, not specs."""

from collections.abc import Callable

from torch import nn

from .activation import ACTIVATIONS, FusibleMish, replace_mish, use_fast_mish
from .aspp import AtrousPyramidPool
from .attention import ATTENTIONS, ModifiedSam, channel_attention
from .bottleneck import CspResNetStage, ResNetStage, resnext_stage
from .context import CONTEXTS
from .conv import ConvNormAct, fuse_norms
from .csp import CrossJoin, CspStage, ReversedCsp, cross_bypass
from .drop import DropBlock, DropConnect, DropPath, SpatialDropout, set_drop_connect, set_drop_path
from .fusion import FUSIONS, PlainSum, WeightedSum
from .mbconv import MbConv, MbConvStage, SqueezeExcite
from .norm_conversion import (
    begin_update,
    read_past,
    set_norms,
    set_progress,
    use_filter_response,
    write_past,
)
from .norms import CrossIterationNorm, CrossMiniBatchNorm, FilterResponseNorm, SyncNorm
from .osa import ConvStage, CspOsaStage, PooledConvStage
from .padding import SamePad
from .resample import Resample
from .residual import CspResNextStage, ResidualStage, ResNextBlock, add_channels
from .rfb import ReceptiveFieldBlock
from .separable import ActSeparableNorm, SeparableConv, SharedSeparable
from .spp import SpatialPyramidPool

# Every stage: Stage(in_channels, channels, depth, *, stride, activation, …the settings of StageSpec
# that it has). `feature_channels` says how many of its last channels go to the neck.
STAGES: dict[str, Callable[..., nn.Module]] = {
    "conv": ConvStage,
    "csp": CspStage,
    "csp-osa": CspOsaStage,
    "csp-resnet": CspResNetStage,
    "csp-resnext": CspResNextStage,
    "mbconv": MbConvStage,
    "pool-conv": PooledConvStage,
    "residual": ResidualStage,
    "resnet": ResNetStage,
    "resnext": resnext_stage,
}

__all__ = [
    "ACTIVATIONS",
    "ATTENTIONS",
    "CONTEXTS",
    "FUSIONS",
    "STAGES",
    "ActSeparableNorm",
    "AtrousPyramidPool",
    "ConvNormAct",
    "CrossIterationNorm",
    "CrossJoin",
    "CrossMiniBatchNorm",
    "CspOsaStage",
    "CspResNextStage",
    "CspStage",
    "DropBlock",
    "DropConnect",
    "DropPath",
    "FilterResponseNorm",
    "FusibleMish",
    "MbConv",
    "ModifiedSam",
    "PlainSum",
    "ReceptiveFieldBlock",
    "ResNextBlock",
    "Resample",
    "ResidualStage",
    "ReversedCsp",
    "SamePad",
    "SeparableConv",
    "SharedSeparable",
    "SpatialDropout",
    "SpatialPyramidPool",
    "SqueezeExcite",
    "SyncNorm",
    "WeightedSum",
    "add_channels",
    "begin_update",
    "channel_attention",
    "cross_bypass",
    "fuse_norms",
    "read_past",
    "replace_mish",
    "set_drop_connect",
    "set_drop_path",
    "set_norms",
    "set_progress",
    "use_fast_mish",
    "use_filter_response",
    "write_past",
]
