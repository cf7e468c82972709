"""Exact receptive fields: which input pixels each cell of a feature map depends on.

Along one axis, cell i of a map reads the pixels from one bound to another. Convolutions and pools
move the bounds by whole cells, so they repeat after a few cells, and after resizing those few
differ: that is all there is to keep.

Source: https://distill.pub/2019/computing-receptive-fields; here without its assumption that all
cells are alike.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm


@dataclass(frozen=True)
class ReceptiveField1D:
    """Receptive field along one axis: the pixels that each cell reads, ignoring image borders.

    Cell i = q · n + r reads the pixels `low[r] + q · step` to `high[r] + q · step`, both included.

    Args:
        step: pixels from one period of n cells to the next.
        low, high: bounds of the n cells of the first period; they never fall from cell to cell.
    """

    step: int = 1
    low: tuple[int, ...] = (0,)
    high: tuple[int, ...] = (0,)

    @property
    def stride(self) -> Fraction:
        """Pixels from one cell to the next, in the mean."""
        return Fraction(self.step, len(self.low))

    @property
    def size(self) -> int:
        """Largest number of pixels that any cell reads."""
        return max(high - low for low, high in zip(self.low, self.high, strict=True)) + 1

    def at(self, cell: int) -> tuple[int, int]:
        """First and last pixel that a cell reads."""
        turns, place = divmod(cell, len(self.low))
        return self.low[place] + turns * self.step, self.high[place] + turns * self.step

    def windows(self, size: int, *, stride: int = 1, before: int = 0) -> "ReceptiveField1D":
        """Receptive field after a sliding window, padded by `before` cells."""
        period = len(self.low) // gcd(len(self.low), stride)
        starts = [cell * stride - before for cell in range(period)]
        return ReceptiveField1D(
            self.step * period * stride // len(self.low),
            tuple(self.at(start)[0] for start in starts),
            tuple(self.at(start + size - 1)[1] for start in starts),
        )

    def repeated(self, times: int) -> "ReceptiveField1D":
        """Receptive field after nearest upsampling by a whole factor."""
        cells = range(len(self.low) * times)
        return ReceptiveField1D(
            self.step,
            tuple(self.low[cell // times] for cell in cells),
            tuple(self.high[cell // times] for cell in cells),
        )

    def joined(self, other: "ReceptiveField1D") -> "ReceptiveField1D":
        """Union with another map's, after adding or concatenating; the finer stride counts."""
        if self.stride != other.stride:
            return min(self, other, key=lambda reach: reach.stride)
        period = lcm(len(self.low), len(other.low))
        pairs = [(self.at(cell), other.at(cell)) for cell in range(period)]
        return ReceptiveField1D(
            self.step * (period // len(self.low)),
            tuple(min(one[0], two[0]) for one, two in pairs),
            tuple(max(one[1], two[1]) for one, two in pairs),
        )


@dataclass(frozen=True)
class ReceptiveField:
    """Receptive field of a feature map, vertically and horizontally.

    Args:
        vertical, horizontal: the pixels of each cell; None where no place is left in the map.
        everywhere: each cell also depends on all pixels, through a mean over the image as in
            squeeze-and-excitation, or through attention.
    """

    vertical: ReceptiveField1D | None = ReceptiveField1D()
    horizontal: ReceptiveField1D | None = ReceptiveField1D()
    everywhere: bool = False

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) in pixels; `everywhere` is not counted."""
        if self.vertical is None or self.horizontal is None:
            return None
        return self.vertical.size, self.horizontal.size

    @property
    def stride(self) -> tuple[float, float] | None:
        """(vertical, horizontal) pixels from cell to cell."""
        if self.vertical is None or self.horizontal is None:
            return None
        return float(self.vertical.stride), float(self.horizontal.stride)

    def windows(
        self, size: tuple[int, int], *, stride: tuple[int, int], before: tuple[int, int]
    ) -> "ReceptiveField":
        """Receptive field after a convolution or pool; every pair is (vertical, horizontal)."""
        if self.vertical is None or self.horizontal is None:
            return self
        return ReceptiveField(
            self.vertical.windows(size[0], stride=stride[0], before=before[0]),
            self.horizontal.windows(size[1], stride=stride[1], before=before[1]),
            self.everywhere,
        )

    def repeated(self, vertical: int, horizontal: int) -> "ReceptiveField":
        """Receptive field after nearest upsampling by whole factors."""
        if self.vertical is None or self.horizontal is None:
            return self
        return ReceptiveField(
            self.vertical.repeated(vertical), self.horizontal.repeated(horizontal), self.everywhere
        )

    def pooled(self) -> "ReceptiveField":
        """Receptive field after global average pooling."""
        return ReceptiveField(None, None, everywhere=True)

    def joined(self, other: "ReceptiveField") -> "ReceptiveField":
        """Union with another map's, after an element-wise operation or concatenation."""
        everywhere = self.everywhere or other.everywhere
        return ReceptiveField(
            _either(self.vertical, other.vertical),
            _either(self.horizontal, other.horizontal),
            everywhere,
        )


def _either(one: ReceptiveField1D | None, two: ReceptiveField1D | None) -> ReceptiveField1D | None:
    if one is None or two is None:
        return one or two
    return one.joined(two)
