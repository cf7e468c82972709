"""Path aggregation: coarse features go down to the fine levels, and what was found comes back up.

Papers: PANet, https://arxiv.org/abs/1803.01534; YOLOv4, https://arxiv.org/abs/2004.10934;
Scaled-YOLOv4 (CSP-ised), https://arxiv.org/abs/2011.08036.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import ConvNormAct, CrossJoin, ReversedCsp, cross_bypass
from ..specs import NeckSpec
from ..specs.frozen import refuse_settings
from .levels import OF_PYRAMIDS, build_attention, build_context, require_one_level_a_feature

# Fusion(in_channels, channels, is_output) → a block that mixes concatenated features.
Fusion = Callable[[int, int, bool], nn.Module]


class PathAggregation(nn.Module):
    """A block on the coarsest features, a top-down path, a bottom-up path; paths are concatenated.

    Shape: per level (N, C, H, W) → (N, channels[level], H, W), finest first.

    Attributes:
        channels: width of each output, finest first.
        top, top_down, bottom_up: the parts, in the order in which they run.

    Raises:
        InvalidSpec: there are more or fewer levels than features.
    """

    def __init__(
        self, in_channels: Sequence[int], spec: NeckSpec, top: nn.Module, fusion: Fusion
    ) -> None:
        super().__init__()
        require_one_level_a_feature(in_channels, spec)
        self.channels = spec.channels[: spec.levels]
        coarsest = len(spec.channels) - 1
        self.top = top
        self.top_down = nn.ModuleList(
            TopDown(
                spec.channels[level + 1],
                in_channels[level],
                spec.channels[level],
                activation=spec.activation,
                fuse=fusion(2 * spec.channels[level], spec.channels[level], level == 0),
            )
            for level in reversed(range(coarsest))
        )
        self.bottom_up = nn.ModuleList(
            BottomUp(
                spec.channels[level],
                spec.channels[level + 1],
                activation=spec.activation,
                fuse=fusion(2 * spec.channels[level + 1], spec.channels[level + 1], True),
            )
            for level in range(spec.levels - 1)
        )

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        down = [self.top(features[-1])]  # coarsest first
        for step, lateral in zip(self.top_down, reversed(features[:-1]), strict=True):
            down.append(step(down[-1], lateral))
        outputs = [down.pop()]
        for step in self.bottom_up:  # coarser levels than the last output are not needed
            outputs.append(step(outputs[-1], down.pop()))
        return outputs


class TopDown(nn.Module):
    """Bring coarse features to the next finer level.

    Shape: (N, coarse_channels, ⌈H / 2⌉, ⌈W / 2⌉), (N, lateral_channels, H, W) →
    (N, channels, H, W).
    """

    def __init__(
        self,
        coarse_channels: int,
        lateral_channels: int,
        channels: int,
        *,
        activation: str,
        fuse: nn.Module,
    ) -> None:
        super().__init__()
        self.reduce = ConvNormAct(coarse_channels, channels, activation=activation)
        self.lateral = ConvNormAct(lateral_channels, channels, activation=activation)
        self.fuse = fuse

    def forward(self, coarse: Tensor, lateral: Tensor) -> Tensor:
        raised = F.interpolate(self.reduce(coarse), size=lateral.shape[-2:], mode="nearest")
        fused: Tensor = self.fuse(torch.cat([self.lateral(lateral), raised], dim=1))
        return fused


class BottomUp(nn.Module):
    """Bring fine features back to the next coarser level.

    Shape: (N, fine_channels, H, W), (N, channels, ⌈H / 2⌉, ⌈W / 2⌉) → the latter.
    """

    def __init__(
        self, fine_channels: int, channels: int, *, activation: str, fuse: nn.Module
    ) -> None:
        super().__init__()
        self.down = ConvNormAct(fine_channels, channels, kernel=3, stride=2, activation=activation)
        self.fuse = fuse

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        fused: Tensor = self.fuse(torch.cat([self.down(fine), coarse], dim=1))
        return fused


class CspSpp(nn.Module):
    """Spatial pyramid pooling, or another context block, inside a CSP block.

    Shape: (N, in_channels, H, W) → (N, channels, H, W).
    """

    def __init__(self, in_channels: int, channels: int, *, spec: NeckSpec) -> None:
        super().__init__()
        act = spec.activation
        lead = 1 if spec.spp_lead is None else spec.spp_lead
        depth = 1 if spec.spp_depth is None else spec.spp_depth
        self.bypass = cross_bypass(
            in_channels, channels, activation=act, joint_norm=spec.joint_norm
        )
        self.enter = nn.Sequential(
            ConvNormAct(in_channels, channels, activation=act),
            *(
                ConvNormAct(channels, channels, kernel=kernel, activation=act)
                for _ in range(lead)
                for kernel in (3, 1)
            ),
        )
        self.pool, pooled = build_context(spec.context or "spp", channels, act)
        self.leave = nn.Sequential(
            *(
                layer
                for pair in range(depth)
                for layer in (
                    ConvNormAct(pooled if pair == 0 else channels, channels, activation=act),
                    ConvNormAct(channels, channels, kernel=3, activation=act),
                )
            )
        )
        self.join = CrossJoin(channels, activation=act, joint_norm=spec.joint_norm)

    def forward(self, x: Tensor) -> Tensor:
        joined: Tensor = self.join(self.leave(self.pool(self.enter(x))), self.bypass(x))
        return joined


def alternating(
    in_channels: int, channels: int, kernels: Sequence[int], *, activation: str
) -> nn.Sequential:
    """1×1 and 3×3 convolutions in turn: a 1×1 narrows to `channels`, a 3×3 widens to twice that."""
    layers: list[nn.Module] = []
    for kernel in kernels:
        width = channels if kernel == 1 else 2 * channels
        layers.append(ConvNormAct(in_channels, width, kernel=kernel, activation=activation))
        in_channels = width
    return nn.Sequential(*layers)


def pan(in_channels: Sequence[int], spec: NeckSpec) -> PathAggregation:
    """YOLOv4's neck: SPP between plain convolutions, then PANet with `2 · depth + 1` convolutions
    in each fusion, the last one after attention where the spec asks for it."""
    refuse_settings(spec, "spp_depth", "spp_lead", "joint_norm", *OF_PYRAMIDS)
    act = spec.activation
    width = spec.channels[-1]
    context, pooled = build_context(spec.context or "spp", width, act)
    top = nn.Sequential(
        alternating(in_channels[-1], width, (1, 3, 1), activation=act),
        context,
        alternating(pooled, width, (1, 3, 1), activation=act),
    )

    def fusion(before: int, channels: int, is_output: bool) -> nn.Module:
        layers = alternating(before, channels, (1, 3) * spec.depth, activation=act)
        if is_output:
            layers.extend(build_attention(spec.attention, 2 * channels))
        return layers.append(ConvNormAct(2 * channels, channels, activation=act))

    return PathAggregation(in_channels, spec, top, fusion)


def csp_pan(in_channels: Sequence[int], spec: NeckSpec) -> PathAggregation:
    """Scaled-YOLOv4's neck: the same paths, every fusion a reversed CSP block, attention last."""
    refuse_settings(spec, *OF_PYRAMIDS)
    top = CspSpp(in_channels[-1], spec.channels[-1], spec=spec)

    def fusion(before: int, channels: int, is_output: bool) -> nn.Module:
        block = ReversedCsp(
            before, channels, spec.depth, activation=spec.activation, joint_norm=spec.joint_norm
        )
        attention = build_attention(spec.attention, channels) if is_output else []
        return nn.Sequential(block, *attention) if attention else block

    return PathAggregation(in_channels, spec, top, fusion)
