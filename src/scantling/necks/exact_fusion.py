"""Exact Fusion Model: each level sees its own scale and the two beside it, compressed by maxout.

Paper: CSPNet, https://arxiv.org/abs/1911.11929, section 3.3.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import FUSIONS, ConvNormAct
from ..specs import NeckSpec
from ..specs.frozen import refuse_settings
from .levels import OF_PYRAMIDS, OutputAttention, build_context, require_one_level_a_feature

SIDES = (-1, 0, 1)  # the next finer level, the level itself, the next coarser one


class ExactFusion(nn.Module):
    """Fuse the features of each level with those of the next finer and the next coarser one.

    Shape: per level (N, C, H, W) → (N, channels[level], H, W), finest first.

    Attributes:
        channels: width of each output.

    Raises:
        InvalidSpec: there are more or fewer levels than features, or the spec has settings of other
            necks.
    """

    def __init__(self, in_channels: Sequence[int], spec: NeckSpec) -> None:
        super().__init__()
        refuse_settings(spec, *OF_PYRAMIDS, "spp_depth", "spp_lead", "joint_norm")
        require_one_level_a_feature(in_channels, spec)
        self.channels = spec.channels[: spec.levels]
        self.context, widened = build_context(spec.context, in_channels[-1], spec.activation)
        widths = (*in_channels[:-1], widened)
        self.fusions = nn.ModuleList(
            NeighbourFusion(
                {side: widths[level + side] for side in SIDES if 0 <= level + side < len(widths)},
                channels,
                spec.depth,
                activation=spec.activation,
            )
            for level, channels in enumerate(self.channels)
        )
        self.attention = OutputAttention(spec.attention, self.channels)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        maps = [*features[:-1], self.context(features[-1])]
        fused = [fuse(maps, level) for level, fuse in enumerate(self.fusions)]
        attended: list[Tensor] = self.attention(fused)
        return attended


class NeighbourFusion(nn.Module):
    """Bring a level and its neighbours to one size and width, take the greatest, convolve.

    Args:
        in_channels: of each map, by its place in `SIDES`.
        channels: of the output.
        depth: pairs of a 1×1 and a 3×3 after the maxout.
        activation: of every convolution.
    """

    def __init__(
        self, in_channels: dict[int, int], channels: int, depth: int, *, activation: str
    ) -> None:
        super().__init__()
        self.sides = tuple(in_channels)
        self.resample = nn.ModuleList(
            ConvNormAct(
                width,
                channels,
                kernel=3 if side < 0 else 1,
                stride=2 if side < 0 else 1,
                activation=activation,
            )
            for side, width in in_channels.items()
        )
        self.fusion = FUSIONS["maxout"](len(self.sides), channels)
        self.convs = nn.Sequential(
            *(
                ConvNormAct(channels, channels, kernel=kernel, activation=activation)
                for _ in range(depth)
                for kernel in (1, 3)
            )
        )

    def forward(self, maps: Sequence[Tensor], level: int) -> Tensor:
        """The fused map of a level, (N, channels, H, W).

        Args:
            maps: of all levels, finest first.
            level: the one that is computed.
        """
        size = maps[level].shape[-2:]
        resampled = [
            conv(maps[level + side]) for conv, side in zip(self.resample, self.sides, strict=True)
        ]
        fused = self.fusion(
            [x if x.shape[-2:] == size else F.interpolate(x, size=size) for x in resampled]
        )
        convolved: Tensor = self.convs(fused)
        return convolved
