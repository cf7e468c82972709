"""Attention by name: what a neck may put in front of its outputs."""

from collections.abc import Callable

from torch import nn

from .mbconv import SqueezeExcite
from .sam import ModifiedSam

REDUCTION = 16  # https://arxiv.org/abs/1709.01507, section 3.3


def channel_attention(channels: int) -> SqueezeExcite:
    """Squeeze-and-excitation as its paper has it; shape (N, channels, H, W) → the same."""
    return SqueezeExcite(channels, max(1, channels // REDUCTION), activation="relu")


# Every attention: Attention(channels) → module that keeps the shape.
ATTENTIONS: dict[str, Callable[[int], nn.Module]] = {
    "sam": ModifiedSam,
    "se": channel_attention,
}
