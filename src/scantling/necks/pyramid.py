"""A feature pyramid: one graph of fusions, repeated cell after cell.

Paper: EfficientDet, https://arxiv.org/abs/1911.09070.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from ..blocks import FUSIONS, ActSeparableNorm, PlainSum, Resample
from ..errors import InvalidSpec, lookup
from ..specs import NeckSpec
from ..specs.frozen import refuse_settings
from .graphs import GRAPHS, Node
from .levels import OutputAttention, build_context, require_one_width


class Pyramid(nn.Module):
    """Add coarser levels to the features, then run `spec.depth` cells of one graph.

    A context block sees the coarsest feature first, attention the outputs, where the spec has them.

    Shape: per feature (N, C, H, W) → per level (N, channels, H, W), finest first; each coarser
    level has ⌈side / 2⌉ cells.

    Attributes:
        channels: width of each output.

    Raises:
        InvalidSpec: the levels differ in width, or are fewer than the features; or the spec has
            settings of other necks.
    """

    def __init__(self, in_channels: Sequence[int], spec: NeckSpec) -> None:
        super().__init__()
        refuse_settings(spec, "spp_depth", "spp_lead", "joint_norm")
        require_one_width(in_channels, spec)
        self.context, widened = build_context(spec.context, in_channels[-1], spec.activation)
        in_channels = (*in_channels[:-1], widened)
        width, levels = spec.channels[0], len(spec.channels)
        nodes = lookup(GRAPHS, spec.kind, "neck")(levels)
        missing = levels - len(in_channels)
        self.channels = spec.channels[: spec.levels]
        self.extra = nn.ModuleList(
            Resample(
                in_channels[-1] if level == 0 else width,
                width,
                halvings=1,
                bias=spec.redundant_bias,
                same_padding=spec.same_padding,
            )
            for level in range(missing)
        )
        entering = (*in_channels, *(width,) * missing)
        self.cells = nn.ModuleList(
            Cell(
                entering if cell == 0 else spec.channels,
                nodes,
                spec,
                outputs=spec.levels if cell == spec.depth - 1 else levels,
            )
            for cell in range(spec.depth)
        )
        self.attention = OutputAttention(spec.attention, self.channels)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        attended: list[Tensor] = self.attention(self.passes(features)[-1])
        return attended

    def passes(self, features: Sequence[Tensor]) -> list[list[Tensor]]:
        """The outputs of every cell, in the order in which they run; without attention."""
        maps = [*features[:-1], self.context(features[-1])]
        for resample in self.extra:
            maps.append(resample(maps[-1]))
        found: list[list[Tensor]] = []
        for cell in self.cells:
            maps = cell(maps)
            found.append(maps)
        return found


class Cell(nn.Module):
    """One pass through the graph; the last node of each level is its output.

    Shape: per level (N, in_channels, H, W) → (N, channels, H, W), finest first.

    Args:
        in_channels: width of each input.
        nodes: of the graph; those after the last that an output needs are not built.
        spec: of the neck.
        outputs: how many levels come out, the finest.
    """

    def __init__(
        self, in_channels: Sequence[int], nodes: Sequence[Node], spec: NeckSpec, *, outputs: int
    ) -> None:
        super().__init__()
        levels = len(in_channels)
        last = {node.level: levels + index for index, node in enumerate(nodes)}
        self.outputs = tuple(last[level] for level in range(outputs))
        nodes = nodes[: max(self.outputs) + 1 - levels]
        widths = [*in_channels, *(spec.channels[0] for _ in nodes)]
        self.levels = (*range(levels), *(node.level for node in nodes))  # of each map
        self.inputs = tuple(node.inputs for node in nodes)
        self.nodes = nn.ModuleList(
            FusionNode(
                [widths[source] for source in node.inputs],
                [node.level - self.levels[source] for source in node.inputs],
                spec,
                fusion=_choose_fusion(node, spec),
            )
            for node in nodes
        )

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        sizes = [x.shape[-2:] for x in features]
        maps = list(features)
        for node, inputs in zip(self.nodes, self.inputs, strict=True):
            level = self.levels[len(maps)]
            maps.append(node([maps[source] for source in inputs], sizes[level]))
        return [maps[output] for output in self.outputs]


class FusionNode(nn.Module):
    """Bring maps to one size and width, add them up, activate, convolve.

    Shape: inputs × (N, C, H, W) → (N, channels, height, width).

    Args:
        in_channels: width of each input.
        halvings: how many levels up each has to go; negative for down.
        spec: of the neck.
        fusion: a name in `scantling.blocks.FUSIONS`.
    """

    def __init__(
        self, in_channels: Sequence[int], halvings: Sequence[int], spec: NeckSpec, *, fusion: str
    ) -> None:
        super().__init__()
        width = spec.channels[0]
        build = lookup(FUSIONS, fusion, "fusion")
        several = len(in_channels) > 1  # one alone needs no weight
        self.fusion = build(len(in_channels), width) if several else PlainSum()
        self.resample = nn.ModuleList(
            Resample(
                channels,
                width,
                halvings=steps,
                bias=spec.redundant_bias,
                same_padding=spec.same_padding,
            )
            for channels, steps in zip(in_channels, halvings, strict=True)
        )
        self.conv = ActSeparableNorm(width, bias=spec.redundant_bias, activation=spec.activation)

    def forward(self, maps: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        brought = [step(x, size) for step, x in zip(self.resample, maps, strict=True)]
        convolved: Tensor = self.conv(self.fusion(brought))
        return convolved


def _choose_fusion(node: Node, spec: NeckSpec) -> str:
    """How a node adds up: as its graph says, else as the spec does.

    Raises:
        InvalidSpec: both say something else.
    """
    if node.fusion is None:
        return spec.fusion or "fast"
    if spec.fusion is not None:
        raise InvalidSpec(
            spec.kind,
            f"its graph has fusions of its own, but fusion is {spec.fusion!r}",
            "Leave it out",
        )
    return node.fusion
