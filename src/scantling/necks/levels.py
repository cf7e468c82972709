"""What all necks share: the check of their levels, and attention in front of their outputs."""

from collections.abc import Sequence

from torch import Tensor, nn

from ..blocks import ATTENTIONS, CONTEXTS
from ..errors import InvalidSpec, lookup
from ..specs import NeckSpec

OF_PYRAMIDS = ("fusion", "redundant_bias", "same_padding")  # settings of no other neck


def require_one_level_a_feature(in_channels: Sequence[int], spec: NeckSpec) -> None:
    """Refuse a spec that asks for more or fewer levels than there are features.

    Raises:
        InvalidSpec: says how many of each there are.
    """
    if len(in_channels) != len(spec.channels):
        raise InvalidSpec(
            spec.kind,
            f"a neck of this kind has one level a feature; there are {len(in_channels)} features "
            f"but {len(spec.channels)} channels",
            "Change backbone.outputs or neck.channels, or take a pyramid, which adds levels",
        )


def require_one_width(in_channels: Sequence[int], spec: NeckSpec) -> None:
    """Refuse a pyramid whose levels cannot be added.

    Raises:
        InvalidSpec: the widths differ, there is one level only, or there are too few.
    """
    levels, widest = len(spec.channels), max(spec.channels)
    if len(set(spec.channels)) > 1:
        raise InvalidSpec(
            spec.kind,
            f"a neck of this kind adds its levels, but their channels are {spec.channels}",
            f"Use one width, like {(widest,) * levels}",
        )
    if levels < max(2, len(in_channels)):
        raise InvalidSpec(
            spec.kind,
            f"{len(in_channels)} features but {levels} levels",
            "Lower backbone.outputs or give more neck.channels, two at least",
        )


def build_context(name: str | None, channels: int, activation: str) -> tuple[nn.Module, int]:
    """The context block of that name, or one that does nothing, and the width of its output.

    Raises:
        UnknownName: there is no such block.
    """
    if name is None:
        return nn.Identity(), channels
    context, widening = lookup(CONTEXTS, name, "context")(channels, activation)
    return context, channels * widening


def build_attention(name: str | None, channels: int) -> list[nn.Module]:
    """What stands in front of an output: one module or none.

    Raises:
        UnknownName: there is no such attention.
    """
    return [] if name is None else [lookup(ATTENTIONS, name, "attention")(channels)]


class OutputAttention(nn.Module):
    """Attention of its own for each output, or none.

    Shape: per level (N, channels[level], H, W) → the same.
    """

    def __init__(self, name: str | None, channels: Sequence[int]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(*build_attention(name, width)) for width in channels
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        return [attend(x) for attend, x in zip(self.levels, maps, strict=True)]
