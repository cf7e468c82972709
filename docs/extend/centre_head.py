"""A third kind of head, in one file: classes and boxes apart, no objectness, one box a cell.

A box is four distances from the middle of its cell, as in FCOS, https://arxiv.org/abs/1904.01355;
their unit is the level's only anchor.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from scantling.blocks import ConvNormAct
from scantling.boxes import Array, concatenate, exp, sigmoid
from scantling.heads import ClassRows, HeadKind, RawLayout
from scantling.heads.efficientdet_decoding import cell_anchors, one_row_an_anchor
from scantling.heads.export import PlainDecoder
from scantling.specs.frozen import refuse_settings
from scantling.specs.level import Level
from scantling.specs.schema import HeadSpec
from scantling.structures import Candidates


def class_logits(raw: Sequence[Array], levels: Sequence[Level]) -> Array:
    """(N, P, K) of all levels."""
    return concatenate(
        [one_row_an_anchor(maps, maps.shape[1]) for maps in raw[: len(levels)]], axis=1
    )


def all_anchors(
    raw: Sequence[Array], levels: Sequence[Level], image_size: tuple[int, int]
) -> Array:
    """(P, 4) the middle of each cell, and the unit of its distances."""
    maps = zip(raw[len(levels) :], levels, strict=True)
    return concatenate([cell_anchors(one, level, image_size) for one, level in maps], axis=0)


def decode_distances(
    raw: Sequence[Array], levels: Sequence[Level], image_size: tuple[int, int]
) -> Candidates:
    """Raw predictions → boxes and scores, of torch tensors or NumPy arrays."""
    anchors = all_anchors(raw, levels, image_size)
    rows = [one_row_an_anchor(maps, 4) for maps in raw[len(levels) :]]
    reach = exp(concatenate(rows, axis=1))  # left, top, right, bottom
    middle, unit = anchors[:, :2], anchors[:, 2:]
    sides = [middle - reach[..., :2] * unit, middle + reach[..., 2:] * unit]
    return Candidates(concatenate(sides, axis=-1), sigmoid(class_logits(raw, levels)))


class CentreHead(nn.Module):
    """Per level (N, C, H, W) → per level (N, K, H, W) logits, then per level (N, 4, H, W)."""

    def __init__(
        self, in_channels: Sequence[int], strides: Sequence[int], spec: HeadSpec, num_classes: int
    ) -> None:
        super().__init__()
        refuse_settings(spec, "channels", "scale_xy", "redundant_bias")
        self.levels = spec.levels_at(strides)
        self.classes = nn.ModuleList(_branch(width, num_classes, spec) for width in in_channels)
        self.boxes = nn.ModuleList(_branch(width, 4, spec) for width in in_channels)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        branches = zip([*self.classes, *self.boxes], [*features, *features], strict=True)
        return [branch(x) for branch, x in branches]

    def class_rows(self) -> tuple[ClassRows, ...]:
        """Each level's last convolution: one anchor a cell, no rows before the classes."""
        return tuple(ClassRows(branch[-1], 1, 0) for branch in self.classes)

    def decode(self, raw: Sequence[Tensor], image_size: tuple[int, int]) -> Candidates:
        """Raw predictions → boxes and scores."""
        return decode_distances(raw, self.levels, image_size)

    def export_decoder(
        self,
        image_size: tuple[int, int] | None,
        cells: Sequence[tuple[int, int]],  # noqa: ARG002 - for decoders that keep tables of cells
    ) -> nn.Module:
        """What decodes inside an exported graph."""
        return PlainDecoder(self, image_size)


def _branch(width: int, outputs: int, spec: HeadSpec) -> nn.Sequential:
    hidden = [
        ConvNormAct(width, width, kernel=3, activation=spec.activation) for _ in range(spec.depth)
    ]
    return nn.Sequential(*hidden, nn.Conv2d(width, outputs, 1))


CENTRE = HeadKind(
    CentreHead,
    decode_distances,
    ("distances",),
    RawLayout(separate=True, objectness=False),
    fits_anchors=False,
)
