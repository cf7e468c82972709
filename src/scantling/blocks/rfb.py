"""Receptive field block: the wider a branch looks, the further apart are its samples.

Papers: RFB Net, https://arxiv.org/abs/1711.07767, section 3.2; named as an alternative to SPP by
YOLOv4, https://arxiv.org/abs/2004.10934.
"""

import torch
from torch import Tensor, nn

from ..errors import lookup
from .activation import ACTIVATIONS
from .conv import ConvNormAct


class ReceptiveFieldBlock(nn.Module):
    """Per kernel k a narrow 1×1, a k×k and a 3×3 of dilation k; mixed, added to the input.

    As in the paper, a 5×5 is two 3×3 in line. A branch is a quarter of the output in width, and all
    of its convolutions are activated: the paper leaves both open.

        x ─┬─ 1×1 ──────────── 3×3 ───────────┐
           ├─ 1×1 ─ 3×3 ────── 3×3 dilated 3 ─┼─ concat ─ 1×1 ─ + ─ activation
           ├─ 1×1 ─ 3×3 ─ 3×3 ─ 3×3 dilated 5 ┘                 │
           └─ 1×1 ──────────────────────────────────────────────┘

    Shape: (N, in_channels, H, W) → (N, channels, H, W).
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        kernels: tuple[int, ...] = (1, 3, 5),
        activation: str = "relu",
    ) -> None:
        super().__init__()
        branch = max(1, channels // 4)
        self.branches = nn.ModuleList(
            nn.Sequential(
                ConvNormAct(in_channels, branch, activation=activation),
                *(
                    ConvNormAct(branch, branch, kernel=3, activation=activation)
                    for _ in range(kernel // 2)
                ),
                ConvNormAct(branch, branch, kernel=3, dilation=kernel, activation=activation),
            )
            for kernel in kernels
        )
        self.merge = ConvNormAct(len(kernels) * branch, channels, activation="linear")
        self.shortcut = ConvNormAct(in_channels, channels, activation="linear")
        self.activation = lookup(ACTIVATIONS, activation, "activation")()

    def forward(self, x: Tensor) -> Tensor:
        seen = torch.cat([branch(x) for branch in self.branches], dim=1)
        activated: Tensor = self.activation(self.merge(seen) + self.shortcut(x))
        return activated
