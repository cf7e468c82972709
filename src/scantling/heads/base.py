"""The interface of a head, and the entry of `HEADS`. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..specs.level import Level
from ..structures import Candidates

if TYPE_CHECKING:
    from torch import Tensor, nn

Size = tuple[int, int]  # (height, width)


@dataclass(frozen=True)
class RawLayout:
    """Order and channels of a head's raw outputs.

    Args:
        separate: first a map of class logits per level, (N, A · K, H, W), then one of boxes per
            level, (N, A · 4, H, W). Otherwise one per level that has, for each anchor, its box, its
            objectness and its classes: (N, A · (5 + K), H, W).
        objectness: follows the four values of each box.
    """

    separate: bool = False
    objectness: bool = True

    @property
    def box_values(self) -> int:
        """Values of an anchor besides its classes."""
        return 4 + self.objectness

    @property
    def first_class(self) -> int:
        """Values of an anchor in front of its classes, in the maps that hold classes."""
        return 0 if self.separate else self.box_values

    def channels(self, levels: Sequence[Level], num_classes: int) -> tuple[int, ...]:
        """Channels of each raw output."""
        anchors = [len(level.anchors) for level in levels]
        if not self.separate:
            return tuple(count * (self.box_values + num_classes) for count in anchors)
        widths = (num_classes, self.box_values)
        return tuple(count * width for width in widths for count in anchors)


@dataclass(frozen=True, eq=False)
class ClassRows:
    """A convolution whose rows are classes, for each anchor in turn.

    Args:
        convolution: with anchors · (first + K) rows.
        anchors: of a cell.
        first: rows of an anchor in front of its classes.
    """

    convolution: nn.Conv2d
    anchors: int
    first: int


class Head(Protocol):
    """What every head offers, besides being a module.

    Attributes:
        levels: how the raw predictions of each level are read, finest first.
    """

    levels: tuple[Level, ...]

    def __call__(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Fused features, finest first → raw predictions, as the `RawLayout` of its kind says."""
        ...

    def named_modules(self) -> Any:
        """As every module's: (name, module) of all parts."""
        ...

    def class_rows(self) -> tuple[ClassRows, ...]:
        """The convolutions that predict classes."""
        ...

    def decode(self, raw: Sequence[Tensor], image_size: Size) -> Candidates:
        """Raw predictions → boxes and scores, for images of (height, width) `image_size`."""
        ...

    def export_decoder(self, image_size: Size | None, cells: Sequence[Size]) -> nn.Module:
        """A module that decodes inside an exported graph: raw predictions → (boxes, scores).

        It may change the head's own convolutions, where that saves the decoder something.

        Args:
            image_size: of the graph's input; None where that may change.
            cells: (rows, columns) of each level at that size.
        """
        ...


@dataclass(frozen=True)
class HeadKind:
    """A kind of head: how it is built, what comes out of it, how that is decoded.

    Args:
        build: Head(in_channels, strides, spec, num_classes), levels finest first. It refuses a spec
            that it cannot serve with `InvalidSpec`.
        decode: raw predictions, levels, image_size → candidates; of torch tensors or NumPy arrays.
        box_codings: the values of `HeadSpec.box_coding` that it can decode.
        layout: of its raw outputs.
        shares_levels: all levels go through the same convolutions, and must have one width.
        fits_anchors: its anchors are fitted to the sizes of objects.
    """

    build: Callable[..., Head]
    decode: Callable[[Sequence[Any], Sequence[Level], Size], Candidates]
    box_codings: tuple[str, ...]
    layout: RawLayout = RawLayout()
    shares_levels: bool = False
    fits_anchors: bool = True
