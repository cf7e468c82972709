"""The neck of YOLOv4-tiny: one top-down path.

Paper: Scaled-YOLOv4, https://arxiv.org/abs/2011.08036.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import ConvNormAct
from ..specs import NeckSpec
from ..specs.frozen import refuse_settings
from .levels import OF_PYRAMIDS, OutputAttention, build_context, require_one_level_a_feature


class TinyFpn(nn.Module):
    """Concatenate each level with a narrow, upsampled copy of the coarser one.

    What goes up from the coarsest level is its input after a 1×1; from the others, their output.

    Shape: per level (N, C, H, W) → (N, channels[level], H, W), finest first.

    Attributes:
        channels: width of each output, finest first.
        reduce, expand: the convolutions of each level, coarsest first.

    Raises:
        InvalidSpec: there are more or fewer levels than features, or settings of other necks.
    """

    def __init__(self, in_channels: Sequence[int], spec: NeckSpec) -> None:
        super().__init__()
        refuse_settings(spec, "spp_depth", "spp_lead", "joint_norm", *OF_PYRAMIDS)
        require_one_level_a_feature(in_channels, spec)
        act = spec.activation
        self.context, coarsest = build_context(spec.context, in_channels[-1], act)
        self.channels = spec.channels[: spec.levels]
        widths = spec.channels[::-1]
        laterals = (0, *in_channels[-2::-1])
        befores = (coarsest, widths[0] // 2, *widths[1:-1])
        self.reduce = nn.ModuleList(
            ConvNormAct(before, width // 2, activation=act)
            for before, width in zip(befores, widths, strict=True)
        )
        self.expand = nn.ModuleList(
            ConvNormAct(width // 2 + lateral, width, kernel=3, activation=act)
            for lateral, width in zip(laterals, widths, strict=True)
        )
        if spec.outputs:  # nothing but the coarsest output needs it
            self.expand[0] = nn.Identity()
        self.attention = OutputAttention(spec.attention, self.channels)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        up: Tensor = self.reduce[0](self.context(features[-1]))
        outputs = [self.expand[0](up)]
        steps = zip(self.reduce[1:], self.expand[1:], reversed(features[:-1]), strict=True)
        for reduce, expand, lateral in steps:
            raised = F.interpolate(reduce(up), size=lateral.shape[-2:], mode="nearest")
            up = expand(torch.cat([raised, lateral], dim=1))
            outputs.append(up)
        attended: list[Tensor] = self.attention(outputs[::-1][: len(self.channels)])
        return attended
