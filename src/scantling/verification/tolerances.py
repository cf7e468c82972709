"""How far a right file may be from its model: what its number format costs this very model.

Nominal limits are what any network keeps that is computed with care. Where a file misses one, the
model itself is computed as badly as the format asks, see `rounded`, and the file may lose a few
times as much: its ranges may be less lucky, its layers fused in another order.
"""

from collections.abc import Sequence

import numpy as np

from ..specs.metadata import Precision
from .comparator import Bench, Probe, measure
from .distance import Energies, mean_energies

# Decibels that any network keeps: fp32 an error of a thousandth, int8 of a twentieth.
NOMINAL: dict[Precision, float] = {"fp32": 60.0, "fp16": 40.0, "bf16": 30.0, "int8": 26.0}
# The same after non-maximum suppression: the share of what was found that may be different.
NOMINAL_FOUND: dict[Precision, float] = {"fp32": 0.02, "fp16": 0.04, "bf16": 0.1, "int8": 0.2}
# Times the energy that rounding costs. Of int8 that is rounding at its best: real ranges are those
# of other images, and decoding is often rounded too.
MARGIN: dict[Precision, float] = {"fp32": 4.0, "fp16": 4.0, "bf16": 6.0, "int8": 16.0}
MARGIN_FOUND = 2.0
WORST = 0.5  # energy: a file that keeps less than 3 dB of what its model says is no use
GREY = 1  # level by which a graph that fits images itself may see pixels differently


def nominal_limits(precision: Precision, names: Sequence[str]) -> Energies:
    """The limits that need no look at the model: energies by output."""
    usual = 10 ** (-NOMINAL[precision] / 10)
    return {name: NOMINAL_FOUND[precision] if name == "detections" else usual for name in names}


def own_limits(bench: Bench, probes: Sequence[Probe]) -> Energies:
    """The limits that follow from the model: what rounding costs it on the probes, and a margin.

    Where the reference cannot be rounded, because it is a file itself, the nominal limits ten times
    over.
    """
    precision = bench.metadata.precision
    own = bench.expect(bench.told(probes[0]), probes[0])
    limits = nominal_limits(precision, list(measure(own, own)))
    cost = rounding_cost(bench, probes)
    if cost is None:
        return {name: min(WORST, 10 * limit) for name, limit in limits.items()}
    margin = MARGIN[precision]
    return {
        name: max(
            limit, min(WORST, (MARGIN_FOUND if name == "detections" else margin) * cost[name])
        )
        for name, limit in limits.items()
    }


def rounding_cost(bench: Bench, probes: Sequence[Probe]) -> Energies | None:
    """How far the model is from itself, rounded as the file is, in the mean over the probes.

    None where it cannot be rounded.
    """
    coarse = bench.coarse
    if coarse is None:
        return None
    costs = []
    for probe in probes:
        canvas = probe.canvas
        if bench.whole_images:  # whose pixels may differ by a grey level
            canvas = np.bitwise_xor(canvas, np.uint8(GREY))
        told = coarse.tell(canvas)
        if told is None:
            return None
        own = bench.expect(bench.told(probe), probe)
        costs.append(measure(own, bench.expect(told, probe)))
    return mean_energies(costs)
