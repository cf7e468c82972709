"""Folding normalisations into convolutions: the same network with fewer steps, for inference."""

import torch
from torch import nn

from .conv import ConvNormAct
from .separable import ActSeparableNorm, SharedSeparable


@torch.no_grad()
def fuse_norms(network: nn.Module) -> None:
    """Fold every normalisation of `network` that follows a convolution into it, in place."""
    for module in network.modules():
        if isinstance(module, (ConvNormAct, ActSeparableNorm, SharedSeparable)):
            module.fuse()
