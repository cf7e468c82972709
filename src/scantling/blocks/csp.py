"""Cross-stage partial blocks: half of the channels bypass the work.

Papers: CSPNet, https://arxiv.org/abs/1911.11929; Scaled-YOLOv4, https://arxiv.org/abs/2011.08036.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..errors import lookup
from .activation import ACTIVATIONS
from .conv import ConvNormAct
from .residual import DarkResidual


class CrossStagePartial(nn.Module):
    """Some of the channels bypass the blocks, so the two paths learn from different gradients.

        x ─ down ─┬─ enter ─ blocks × depth ─ leave ─┐
                  └─ bypass ─────────────────────────┴─ concat ─ merge

    Shape: (N, in_channels, H, W) → (N, channels, H / stride, W / stride).

    Args:
        branch: channels of each of the two paths.
        block: makes a block, `branch` channels to as many.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        depth: int,
        *,
        stride: int,
        activation: str,
        branch: int,
        block: Callable[[], nn.Module],
    ) -> None:
        super().__init__()
        self.feature_channels = channels
        self.down = ConvNormAct(
            in_channels, channels, kernel=3, stride=stride, activation=activation
        )
        self.bypass = ConvNormAct(channels, branch, activation=activation)
        self.enter = ConvNormAct(channels, branch, activation=activation)
        self.blocks = nn.Sequential(*(block() for _ in range(depth)))
        self.leave = ConvNormAct(branch, branch, activation=activation)
        self.merge = ConvNormAct(2 * branch, channels, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        x = self.down(x)
        deep = self.leave(self.blocks(self.enter(x)))
        merged: Tensor = self.merge(torch.cat([deep, self.bypass(x)], dim=1))
        return merged


class CspStage(CrossStagePartial):
    """CSP around darknet's residuals.

    Shape: (N, in_channels, H, W) → (N, channels, H / stride, W / stride).
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        depth: int,
        *,
        stride: int = 2,
        activation: str = "mish",
        partial: float = 0.5,
        bottleneck: float = 1.0,
    ) -> None:
        branch = round(channels * partial)
        hidden = round(branch * bottleneck)
        super().__init__(
            in_channels,
            channels,
            depth,
            stride=stride,
            activation=activation,
            branch=branch,
            block=lambda: DarkResidual(branch, hidden, activation=activation),
        )


class CrossJoin(nn.Module):
    """Join the deep path of a CSP block with its bypass, and merge the two by a 1×1.

    With `joint_norm` the bypass comes as a bare convolution left it, and one normalisation and
    activation follows the concatenation, so that the deep path is normalised and activated twice.

    Shape: (N, channels, H, W), (N, channels, H, W) → (N, channels, H, W).
    """

    def __init__(self, channels: int, *, activation: str, joint_norm: bool) -> None:
        super().__init__()
        self.joint: nn.Module = nn.Identity()
        if joint_norm:
            self.joint = nn.Sequential(
                nn.BatchNorm2d(2 * channels, momentum=0.03),
                lookup(ACTIVATIONS, activation, "activation")(),
            )
        self.merge = ConvNormAct(2 * channels, channels, activation=activation)

    def forward(self, deep: Tensor, bypass: Tensor) -> Tensor:
        merged: Tensor = self.merge(self.joint(torch.cat([deep, bypass], dim=1)))
        return merged


def cross_bypass(
    in_channels: int, channels: int, *, activation: str, joint_norm: bool
) -> nn.Module:
    """The 1×1 that goes past the deep path; bare where `CrossJoin` normalises both together."""
    if joint_norm:
        return nn.Conv2d(in_channels, channels, 1, bias=False)
    return ConvNormAct(in_channels, channels, activation=activation)


class ReversedCsp(nn.Module):
    """The CSP block of necks: one 1×1 first, then two paths, the deep one without shortcuts.

        x ─ enter ─┬─ (1×1 ─ 3×3) × depth ─┐
                   └─ bypass ──────────────┴─ concat ─ merge

    Shape: (N, in_channels, H, W) → (N, channels, H, W).
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        depth: int,
        *,
        activation: str = "mish",
        joint_norm: bool = False,
    ) -> None:
        super().__init__()
        self.enter = ConvNormAct(in_channels, channels, activation=activation)
        self.bypass = cross_bypass(channels, channels, activation=activation, joint_norm=joint_norm)
        self.blocks = nn.Sequential(
            *(
                ConvNormAct(channels, channels, kernel=kernel, activation=activation)
                for _ in range(depth)
                for kernel in (1, 3)
            )
        )
        self.join = CrossJoin(channels, activation=activation, joint_norm=joint_norm)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        joined: Tensor = self.join(self.blocks(x), self.bypass(x))
        return joined
