"""Which image sizes a cfg's network takes: every side is tried, on the sizes of its maps alone."""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..specs.frozen import MAX_SIDE
from ..specs.sizes import SizeRule
from .build import pool_window
from .cfg import Section
from .convolution import convolution_window
from .graph import IMAGE
from .options import DETECTION

JOINING = frozenset({"route", "shortcut", "sam"})  # maps of one size
Lengths = NDArray[np.int32]  # of one side of a feature map, in cells, by the side of the image


def find_sizes(sections: Sequence[Section], sources: Sequence[tuple[int, ...]]) -> SizeRule:
    """Which sides an image may have, from 1 to `MAX_SIDE` pixels.

    As in darknet a map need not have whole cells where nothing is joined: 9 cells of stride 8 show
    70 pixels. Where maps are joined, their sizes agree by chance at other sides than the multiples
    too, which are left out. The anchors of a `[region]` are given in cells, which have to be whole.

    Args:
        sections: of the layers, without `[net]`.
        sources: as `find_sources` finds them.

    Raises:
        InvalidCfg: an option of a layer is out of range.
    """
    fits = np.ones(MAX_SIDE + 1, bool)
    fits[0] = False
    step = 1
    for axis in (0, 1):
        fits_axis, strides = _try_sides(sections, sources, axis)
        fits &= fits_axis
        step = math.lcm(step, *strides)
    divisor = _find_divisor(fits)
    if divisor is None:
        return SizeRule(None, None, fits)
    fits &= np.arange(len(fits)) % divisor == 0
    return SizeRule(divisor, math.lcm(divisor, step), fits)


def _try_sides(
    sections: Sequence[Section], sources: Sequence[tuple[int, ...]], axis: int
) -> tuple[NDArray[np.bool_], list[int]]:
    """For every side whether it fits, along one axis; and the strides of the detection layers."""
    sides: Lengths = np.arange(MAX_SIDE + 1, dtype=np.int32)
    fits = np.ones(len(sides), bool)
    maps: dict[int, tuple[Lengths, Fraction]] = {IMAGE: (sides, Fraction(1))}
    detection: list[int] = []
    for index, section in enumerate(sections):
        read = [maps[source] for source in sources[index]]
        lengths, stride = read[-1]
        if section.kind in JOINING or section.flag("scale_wh"):
            for other, _ in read[:-1]:
                if other is not lengths:
                    fits &= other == lengths
        elif section.kind == "scale_channels":  # by a mask of one cell
            fits &= read[0][0] == 1
        elif section.kind in ("reorg", "reorg3d"):
            by = section.integer("stride", 1, low=1, high=64)
            fits &= lengths % by == 0
            lengths, stride = lengths // by, stride * by
        elif section.kind in DETECTION and stride.denominator == 1:
            detection.append(int(stride))
            if section.kind == "region":
                fits &= lengths * int(stride) == sides
        else:
            lengths, stride = _after(section, lengths, stride, axis)
            fits &= lengths > 0
        maps[index] = lengths, stride
    return fits, detection


def _after(
    section: Section, lengths: Lengths, stride: Fraction, axis: int
) -> tuple[Lengths, Fraction]:
    """What a layer that joins nothing makes of a map."""
    if section.kind == "upsample":
        by = section.integer("stride", 2, low=1, high=64)
        return lengths * by, stride / by
    if section.kind == "avgpool":
        return np.ones_like(lengths), stride
    if section.kind == "convolutional":
        size, strides, padding = convolution_window(section)
    elif section.kind in ("maxpool", "local_avgpool") and not section.flag("maxpool_depth"):
        size, strides, padding = pool_window(section)
    else:
        return lengths, stride
    if strides[axis] == 1 and padding == size - 1:
        return lengths, stride
    return (lengths + padding - size) // strides[axis] + 1, stride * strides[axis]


def _find_divisor(fits: NDArray[np.bool_]) -> int | None:
    """The smallest number whose multiples all fit, but for sides too small for a kernel."""
    half = len(fits) // 2
    if not fits[half:].any():
        return None
    for divisor in range(1, half):
        if fits[half + -half % divisor :: divisor].all():
            return divisor
    return None
