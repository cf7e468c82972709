"""Chains of primitive operations: small synthetic networks, described once for all engines."""

from dataclasses import dataclass
from math import ceil

ACTIVATIONS = ("mish", "leaky_relu", "silu", "relu", "sigmoid")
ENDS = ("cells", "offsets")
CELL_ANCHORS = 3
OFFSET_ANCHORS = 9

MapShape = tuple[int, int, int]  # channels, rows, columns


@dataclass(frozen=True)
class ChainStep:
    """One operation of a chain.

    Args:
        kind: `map` or `image` (what goes in), `conv`, one of `ACTIVATIONS`, `add`, `scale` (a map
            by a value a channel), `weighted` (a sum of maps times numbers), `concat`, `half` (of
            the channels), `pool`, `mean`, `resize` (twice as large), `cells` or `offsets`
            (decoding, see `graphs.decode`).
        inputs: places of the steps that it reads.
        width: channels that a convolution makes; classes of a decoder.
        kernel, stride: of a convolution or pool.
        groups: of a convolution.
        odd: pad right and below alone, as TensorFlow does at stride 2.
    """

    kind: str
    inputs: tuple[int, ...] = ()
    width: int = 0
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    odd: bool = False


@dataclass(frozen=True)
class Chain:
    """A synthetic network: steps in order, the first of which is the input.

    Args:
        name: of the primitives in it.
        size: channels, rows and columns of what goes in.
        steps: each reads steps before it. What nothing reads goes out.
    """

    name: str
    size: MapShape
    steps: tuple[ChainStep, ...]

    @property
    def outputs(self) -> tuple[int, ...]:
        """Indices of the steps that no other step reads."""
        read = {place for step in self.steps for place in step.inputs}
        return tuple(place for place in range(len(self.steps)) if place not in read)

    def shapes(self) -> list[MapShape]:
        """Output shape of each step, (channels, rows, columns)."""
        found: list[MapShape] = []
        for step in self.steps:
            found.append(self._shape(step, [found[place] for place in step.inputs]))
        return found

    def _shape(self, step: ChainStep, given: list[MapShape]) -> MapShape:
        if not given:
            return self.size
        channels, rows, columns = given[0]
        if step.kind in ("conv", "pool"):
            rows, columns = ceil(rows / step.stride), ceil(columns / step.stride)
            return step.width or channels, rows, columns
        if step.kind == "concat":
            return sum(one[0] for one in given), rows, columns
        if step.kind == "half":
            return channels // 2, rows, columns
        if step.kind == "mean":
            return channels, 1, 1
        if step.kind == "resize":
            return channels, 2 * rows, 2 * columns
        return given[0]


class ChainBuilder:
    """Builds a chain step by step.

    Args:
        name: of the chain.
        size: of what goes in.
        kind: `map` or `image`.
    """

    def __init__(self, name: str, size: MapShape, *, kind: str = "map") -> None:
        self.name = name
        self.size = size
        self.steps = [ChainStep(kind)]
        self.shapes = [size]

    def add(
        self,
        kind: str,
        *inputs: int,
        width: int = 0,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        odd: bool = False,
    ) -> int:
        """Append a step; returns its index."""
        step = ChainStep(kind, inputs, width, kernel, stride, groups, odd)
        self.steps.append(step)
        self.shapes = self.build().shapes()
        return len(self.steps) - 1

    def conv(
        self,
        source: int,
        width: int,
        activation: str | None,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        odd: bool = False,
    ) -> int:
        """Append a convolution and its activation; returns the index of the last step."""
        made = self.add(
            "conv", source, width=width, kernel=kernel, stride=stride, groups=groups, odd=odd
        )
        return made if activation is None else self.add(activation, made)

    def build(self) -> Chain:
        """The chain built so far."""
        return Chain(self.name, self.size, tuple(self.steps))
