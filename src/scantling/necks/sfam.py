"""SFAM: the maps of one scale from several pyramids side by side, their channels weighed.

Papers: M2Det, https://arxiv.org/abs/1811.04533; named by YOLOv4,
https://arxiv.org/abs/2004.10934, section 2.3.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..blocks import channel_attention
from ..specs import NeckSpec
from ..specs.frozen import refuse_settings
from .levels import OutputAttention
from .pyramid import Pyramid


class Sfam(nn.Module):
    """Top-down pyramids one after the other; each level gathers what all of them found.

    M2Det has its U-shaped modules where this has the cells of a pyramid. The aggregation is its
    own: concatenate along the channels, then squeeze and excite.

    Shape: per feature (N, C, H, W) → per level (N, depth · channels, H, W), finest first.

    Attributes:
        channels: width of each output: `spec.depth` times that of the spec.
    """

    def __init__(self, in_channels: Sequence[int], spec: NeckSpec) -> None:
        super().__init__()
        refuse_settings(spec, "spp_depth", "spp_lead", "joint_norm")
        self.channels = tuple(width * spec.depth for width in spec.channels[: spec.levels])
        whole = spec.replace(kind="fpn", attention=None, outputs=None)  # fine levels need coarse
        self.pyramid = Pyramid(in_channels, whole)
        self.excite = nn.ModuleList(channel_attention(width) for width in self.channels)
        self.attention = OutputAttention(spec.attention, self.channels)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        scales = zip(*self.pyramid.passes(features), strict=True)
        gathered = [torch.cat(maps, dim=1) for maps in list(scales)[: len(self.channels)]]
        weighed = [excite(x) for excite, x in zip(self.excite, gathered, strict=True)]
        attended: list[Tensor] = self.attention(weighed)
        return attended
