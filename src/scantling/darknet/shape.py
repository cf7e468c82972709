"""Sizes of feature maps, known before anything is built, so that nothing too large ever is."""

from dataclasses import dataclass
from fractions import Fraction

from ..errors import nearest_hint
from .cfg import Section

# Far above every published network; what is larger is a mistake or an attack.
MAX_VALUES = 1 << 30  # of one feature map
MAX_WEIGHTS = 1 << 29  # of a network


@dataclass(frozen=True)
class Shape:
    """A feature map of one image.

    Attributes:
        channels: C.
        height: in cells.
        width: in cells.
        stride: input pixels per cell, (vertical, horizontal).
    """

    channels: int
    height: int
    width: int
    stride: tuple[Fraction, Fraction]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in cells."""
        return self.height, self.width

    def scaled(self, channels: int, height: int, width: int, by: tuple[int, int]) -> "Shape":
        """The map of a layer that reads this one every `by` cells, (vertical, horizontal)."""
        stride = (self.stride[0] * by[0], self.stride[1] * by[1])
        return Shape(channels, height, width, stride)

    def __str__(self) -> str:
        return f"{self.channels}×{self.height}×{self.width}"


def check_shape(section: Section, shape: Shape) -> Shape:
    """`shape`, or an error about the layer that would make it.

    Raises:
        InvalidCfg: it is empty, or larger than any network needs.
    """
    values = shape.channels * shape.height * shape.width
    if min(shape.channels, shape.height, shape.width) < 1:
        raise section.error(
            f"its output would be {shape}", "Use a larger input or smaller strides and kernels"
        )
    if values > MAX_VALUES:
        raise section.error(
            f"its output would be {shape}, {values} values", f"Stay below {MAX_VALUES}"
        )
    return shape


def windows(section: Section, length: int, *, size: int, padding: int, stride: int) -> int:
    """How many windows of `size` fit on `length` cells with `padding` cells in total around them.

    Raises:
        InvalidCfg: not one.
    """
    if length + padding < size:
        raise section.error(
            f"size={size} does not fit on {length} cells with {padding} of padding",
            "Use a larger input or a smaller size",
        )
    return (length + padding - size) // stride + 1


def strides_of(section: Section, default: int) -> tuple[int, int]:
    """(vertical, horizontal) from `stride`, `stride_y` and `stride_x`."""
    stride = section.integer("stride", default, low=1, high=1024)
    return (
        section.integer("stride_y", stride, low=1, high=1024),
        section.integer("stride_x", stride, low=1, high=1024),
    )


def check_weights(section: Section, count: int, left: int) -> None:
    """Refuse a layer with more weights than are `left` to the network.

    Raises:
        InvalidCfg: there are too many.
    """
    if count > left:
        raise section.error(
            f"{count} weights here make more than {MAX_WEIGHTS} in all",
            "Use fewer filters or a smaller size",
        )


def check_same_size(section: Section, shapes: tuple[Shape, ...]) -> None:
    """Refuse maps of different height or width.

    Raises:
        InvalidCfg: shows the shapes.
    """
    if len({shape.size for shape in shapes}) > 1:
        raise section.error(
            f"it joins maps of different sizes: {', '.join(str(shape) for shape in shapes)} "
            "(channels × height × width)",
            "Check the layers it names, and that [net] width and height are multiples of the "
            "coarsest stride",
        )


def activation_of(section: Section, default: str, known: frozenset[str]) -> str:
    """The name of the section's activation.

    Raises:
        InvalidCfg: it is not in `known`. Darknet would take `relu` instead.
    """
    name = section.word("activation", default)
    if name not in known:
        raise section.error(
            f"activation {name!r} cannot be honoured",
            f"Use one of {', '.join(sorted(known))}.{nearest_hint(name, known)} A comment "
            "behind a word counts as part of it",
            option="activation",
        )
    return name
