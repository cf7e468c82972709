"""Chains of primitives: small made-up networks, described for every engine alike."""

from dataclasses import dataclass
from math import ceil

ACTIVATIONS = ("mish", "leaky_relu", "silu", "relu", "sigmoid")
ENDS = ("cells", "offsets")
CELL_ANCHORS = 3
OFFSET_ANCHORS = 9

Shape = tuple[int, int, int]  # channels, rows, columns


@dataclass(frozen=True)
class Step:
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
    """Steps in order; the first is what goes in.

    Args:
        name: of the primitives in it.
        size: channels, rows and columns of what goes in.
        steps: each reads steps before it. What nothing reads goes out.
    """

    name: str
    size: Shape
    steps: tuple[Step, ...]

    @property
    def outputs(self) -> tuple[int, ...]:
        """Places of the steps that nothing reads."""
        read = {place for step in self.steps for place in step.inputs}
        return tuple(place for place in range(len(self.steps)) if place not in read)

    def shapes(self) -> list[Shape]:
        """(channels, rows, columns) that each step makes."""
        found: list[Shape] = []
        for step in self.steps:
            found.append(self._shape(step, [found[place] for place in step.inputs]))
        return found

    def _shape(self, step: Step, given: list[Shape]) -> Shape:
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
    """Puts a chain together, step by step.

    Args:
        name: of the chain.
        size: of what goes in.
        kind: `map` or `image`.
    """

    def __init__(self, name: str, size: Shape, *, kind: str = "map") -> None:
        self.name = name
        self.size = size
        self.steps = [Step(kind)]
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
        """Put a step at the end; its place."""
        step = Step(kind, inputs, width, kernel, stride, groups, odd)
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
        """A convolution and its activation; the place of the last step."""
        made = self.add(
            "conv", source, width=width, kernel=kernel, stride=stride, groups=groups, odd=odd
        )
        return made if activation is None else self.add(activation, made)

    def build(self) -> Chain:
        """The chain."""
        return Chain(self.name, self.size, tuple(self.steps))
