"""Fused features → raw predictions, and their decoding."""

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor

from ..specs.level import Level
from ..structures import Candidates
from .efficientdet import EfficientDetHead
from .yolo import YoloHead, decode_level, join_levels


class Head(Protocol):
    """What every head offers, besides being a module."""

    levels: tuple[Level, ...]

    def __call__(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Fused features → raw predictions, per level, finest first."""
        ...

    def decode(self, raw: Sequence[Tensor], image_size: tuple[int, int]) -> Candidates:
        """Raw predictions → boxes and scores, for images of (height, width) `image_size`."""
        ...


# Every head: Head(in_channels, strides, spec, num_classes), levels finest first.
HEADS: dict[str, Callable[..., Head]] = {
    "efficientdet": EfficientDetHead,
    "yolo": YoloHead,
}

__all__ = ["HEADS", "EfficientDetHead", "Head", "YoloHead", "decode_level", "join_levels"]
