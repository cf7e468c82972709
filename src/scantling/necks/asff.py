"""ASFF: every level is a mixture of all levels, and every point of it chooses its own.

Papers: https://arxiv.org/abs/1911.09516, section 3; named by YOLOv4,
https://arxiv.org/abs/2004.10934, section 2.3.
"""

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import ConvNormAct
from ..specs import NeckSpec
from ..specs.frozen import refuse_settings
from .levels import OutputAttention
from .pyramid import Pyramid


class Asff(nn.Module):
    """A top-down pyramid, then adaptively spatial fusion of its levels.

    Shape: per feature (N, C, H, W) → per level (N, channels, H, W), finest first.

    Attributes:
        channels: width of each output.
    """

    def __init__(self, in_channels: Sequence[int], spec: NeckSpec) -> None:
        super().__init__()
        refuse_settings(spec, "spp_depth", "spp_lead", "joint_norm")
        self.channels = spec.channels[: spec.levels]
        whole = spec.replace(kind="fpn", attention=None, outputs=None)  # every level sees all
        self.pyramid = Pyramid(in_channels, whole)
        self.fusions = nn.ModuleList(
            SpatialFusion(spec.channels[0], level, len(spec.channels), activation=spec.activation)
            for level in range(spec.levels)
        )
        self.attention = OutputAttention(spec.attention, self.channels)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        maps = self.pyramid(features)
        attended: list[Tensor] = self.attention([fusion(maps) for fusion in self.fusions])
        return attended


class SpatialFusion(nn.Module):
    """Bring all levels to one, and weigh them at every point by a softmax over the levels.

    Shape: per level (N, channels, H, W) → (N, channels, H, W) of `level`.

    Args:
        channels: width of every level.
        level: which one is computed, 0 the finest.
        levels: how many there are.
        activation: of the convolutions.
    """

    def __init__(self, channels: int, level: int, levels: int, *, activation: str) -> None:
        super().__init__()
        self.level = level
        self.rescale = nn.ModuleList(
            _rescale(channels, level - source, activation=activation) for source in range(levels)
        )
        self.weigh = nn.ModuleList(nn.Conv2d(channels, 1, 1) for _ in range(levels))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        size = maps[self.level].shape[-2:]
        brought = [step(x) for step, x in zip(self.rescale, maps, strict=True)]
        brought = [x if x.shape[-2:] == size else F.interpolate(x, size=size) for x in brought]
        scores = [weigh(x) for weigh, x in zip(self.weigh, brought, strict=True)]
        weights = torch.cat(scores, dim=1).softmax(dim=1).unsqueeze(2).unbind(dim=1)
        terms = (weight * x for weight, x in zip(weights, brought, strict=True))
        fused: Tensor = reduce(torch.add, terms)
        return fused


def _rescale(channels: int, halvings: int, *, activation: str) -> nn.Module:
    """To a coarser level, max-pools and a strided 3×3; to a finer one, a 1×1 before upsampling."""
    if halvings == 0:
        return nn.Identity()
    if halvings < 0:
        return ConvNormAct(channels, channels, activation=activation)
    return nn.Sequential(
        *(nn.MaxPool2d(3, 2, padding=1) for _ in range(halvings - 1)),
        ConvNormAct(channels, channels, kernel=3, stride=2, activation=activation),
    )
