"""Terms of an operation's latency: overhead, compute, memory traffic and weights.

Each of these is a known amount of work times a rate, and the logarithm of the rate is linear in a
few features of the operation's shape. So a time is a sum of terms
amount · exp(features · coefficients), which `fit_coefficients` learns from whole chains.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .operation_table import KINDS, PLACE, OperationTable

FloatArray = NDArray[np.float64]

PER_CALL = 5e-6  # seconds; where the search for the overhead of a call begins
LAST_CACHE = 32 * 2**20  # bytes; weights of larger networks come from memory
VECTOR = 16  # channels that are computed together
_VALUE = 4  # bytes of a value; another precision shows in the rates
# Where the search begins for how much slower than the peak each kind computes.
_SLOWNESS = {"depthwise": 12.0, "grouped": 3.0, "stem": 4.0, "vector": 6.0, "pool": 8.0}
_SHAPE = 9  # entering, leaving, cells; their squares; their products

# Of every group of terms: standard deviations, in the logarithm, that its coefficients have
# beforehand: of all kinds together, and of each kind on its own.
SPREADS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "overhead": ((2.0,), (1.0,)),
    "compute": (
        (1.5, *(0.4,) * _SHAPE, 0.5, 0.5, 0.3, 0.3, 0.3),
        (1.5, *(0.4,) * _SHAPE, 0.5, 0.5, 0.3, 0.3, 0.3),
    ),
    "traffic": ((1.5, 0.5, 0.3), (1.5, 0.4, 0.2)),
    "weights": ((1.5, 0.5), (0.5, 0.3)),
}


@dataclass(frozen=True)
class TermGroup:
    """The latency terms of one group.

    Args:
        owners: (T,) the network that each belongs to.
        kinds: (T,) of its operation.
        amounts: (T,) seconds, where every rate is as expected.
        features: (T, F) the first is 1.
    """

    owners: NDArray[np.int64]
    kinds: NDArray[np.int64]
    amounts: FloatArray
    features: FloatArray


@dataclass(frozen=True)
class PeakRates:
    """Peak compute and bandwidth of a device, which set the prior.

    Args:
        macs_per_second, bytes_per_second: as in a profile's `peak`.
    """

    macs_per_second: float
    bytes_per_second: float


def make_terms(tables: list[OperationTable], rates: PeakRates) -> dict[str, TermGroup]:
    """Latency terms of networks, by the groups of `SPREADS`."""
    sizes = [len(table.values) for table in tables]
    owners = np.repeat(np.arange(len(tables)), sizes)
    table = OperationTable(np.concatenate([one.values for one in tables]))
    counts = table["count"].astype(np.float64)
    held = np.array([(one.weights * one["count"]).sum() * _VALUE for one in tables])[owners]
    seconds_a_byte = _VALUE / rates.bytes_per_second
    amounts = {
        "overhead": counts * PER_CALL,
        "compute": counts * table.macs * _slowness()[table["kind"]] / rates.macs_per_second,
        "traffic": counts * table.moved * seconds_a_byte,
        "weights": counts * table.weights * seconds_a_byte,
    }
    features = {
        "overhead": np.ones((len(counts), 1)),
        "compute": _compute_features(table),
        "traffic": _traffic_features(table),
        "weights": np.stack([np.ones(len(counts)), np.log2(1 + held / LAST_CACHE)], axis=1),
    }
    made = {}
    for name, amount in amounts.items():
        kept = amount > 0
        made[name] = TermGroup(
            owners[kept], table["kind"][kept], amount[kept], features[name][kept]
        )
    return made


def _slowness() -> FloatArray:
    return np.array([_SLOWNESS.get(kind, 1.5) for kind in KINDS])


def _compute_features(table: OperationTable) -> FloatArray:
    """Features of a convolution: widths, cells, SIMD padding waste, kernel and stride."""
    entering, leaving = (table[name] / table["groups"] for name in ("entering", "leaving"))
    alone = (table["kind"] == PLACE["depthwise"]) | (table["kind"] == PLACE["pool"])
    entering, leaving = (
        np.where(alone, table["leaving"], one).clip(min=1) for one in (entering, leaving)
    )
    cells = (table["rows"] * table["columns"] * table["images"]).clip(min=1)
    first = (np.log2(entering) - 6.5) / 2
    last = (np.log2(leaving) - 6.5) / 2
    many = (np.log2(cells) - 10) / 3
    shape = (first, last, many, first**2, last**2, many**2)
    crossed = (first * last, first * many, last * many)
    others = (
        _waste(entering),
        _waste(leaving),
        _waste(table["columns"].astype(np.float64)),
        (table["stride"] > 1).astype(np.float64),
        np.log2(table["kernel"].clip(min=1) / 3),
    )
    return np.stack([np.ones(len(first)), *shape, *crossed, *others], axis=1)


def _waste(width: FloatArray) -> FloatArray:
    """Log of the padding overhead when filled up to whole SIMD vectors."""
    found: FloatArray = np.log(np.ceil(width / VECTOR) * VECTOR / width)
    return found


def _traffic_features(table: OperationTable) -> FloatArray:
    """Features of map sizes: which cache level they fit."""
    size = np.log2((table.moved * _VALUE / 2**20).clip(min=2**-10)) / 4
    return np.stack([np.ones(len(size)), size, size**2], axis=1)


def layout() -> dict[str, slice]:
    """Slices of each group's coefficients: shared by all kinds, then of each kind."""
    places, start = {}, 0
    for name, (shared, _) in SPREADS.items():
        stop = start + (1 + len(KINDS)) * len(shared)
        places[name] = slice(start, stop)
        start = stop
    return places


def prior_spreads() -> FloatArray:
    """Prior standard deviation of every coefficient, in the order of `layout`."""
    parts = [np.concatenate([shared, np.tile(own, len(KINDS))]) for shared, own in SPREADS.values()]
    return np.concatenate(parts)


def evaluate(groups: dict[str, TermGroup], coefficients: FloatArray) -> dict[str, FloatArray]:
    """Predicted seconds of every term."""
    found = {}
    for name, place in layout().items():
        group = groups[name]
        each = coefficients[place].reshape(1 + len(KINDS), -1)
        exponents = np.einsum("tf,tf->t", group.features, each[0] + each[1 + group.kinds])
        found[name] = group.amounts * np.exp(exponents.clip(-12, 12))
    return found


def slopes(
    groups: dict[str, TermGroup], seconds: dict[str, FloatArray], networks: int
) -> FloatArray:
    """Jacobian, (networks, coefficients): derivative of each network's seconds."""
    found = np.zeros((networks, max(place.stop for place in layout().values())))
    for name, place in layout().items():
        group = groups[name]
        cells = group.owners * len(KINDS) + group.kinds
        columns = [
            np.bincount(cells, feature * seconds[name], networks * len(KINDS))
            for feature in group.features.T
        ]
        own = np.stack(columns, axis=1).reshape(networks, len(KINDS), len(columns))
        found[:, place] = np.concatenate([own.sum(axis=1), own.reshape(networks, -1)], axis=1)
    return found
