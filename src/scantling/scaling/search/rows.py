"""Every candidate at every image size, and what each costs: columns of numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidValue
from ...specs import ModelSpec
from ..costs import NetworkCost
from ..laws import resize
from .budget import smallest_object
from .candidates import CLASSES, Architecture, list_candidates
from .capacity import build_of, capacity
from .table import Counted, key_of, read_table, with_classes

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Spans:
    """What something takes at each image size, with an error bar: (S,) each."""

    middle: Values
    low: Values
    high: Values


# What an architecture takes at each side of a square image: latency in seconds, memory in bytes.
Predict = Callable[[ModelSpec, NetworkCost, Sequence[int]], Spans]


@dataclass(frozen=True, eq=False)
class Field:
    """Candidates as columns, one row for each architecture and image size.

    Args:
        architectures: that the rows are of.
        owners: (C,) place of each row's architecture.
        sides: (C,) of the image.
        capacity: (C,) what they are ranked by.
        values: (C,) by constraint: `parameters`, `MACs`, `memory`, `latency`, `object`.
        bars: (C,) low and high of `memory` and `latency`.
        order: (C,) rows from best to worst: by capacity, then least MACs and parameters, then name.
    """

    architectures: tuple[Architecture, ...]
    owners: NDArray[np.int64]
    sides: NDArray[np.int64]
    capacity: Values
    values: dict[str, Values]
    bars: dict[str, tuple[Values, Values]]
    order: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        names = np.argsort(np.argsort([one.name for one in self.architectures]))
        # capacities that differ by rounding alone are alike
        keys = (
            self.sides,
            names[self.owners],
            self.values["parameters"],
            self.values["MACs"],
            -np.round(self.capacity, 9),
        )
        object.__setattr__(self, "order", np.lexsort(keys))

    def __len__(self) -> int:
        return len(self.owners)

    def limit_value(self, constraint: str) -> Values:
        """(C,) what is held against the limit: of what has an error bar, its upper end."""
        if constraint in self.bars:
            return self.bars[constraint][1]
        return self.values[constraint]

    def spec(self, row: int, *, num_classes: int = CLASSES) -> ModelSpec:
        """The model of a row."""
        own, side = self.architectures[self.owners[row]], int(self.sides[row])
        return resize(own.spec, side).replace(name=f"{own.name}-{side}", num_classes=num_classes)

    def name(self, row: int) -> str:
        """What the model of a row is called."""
        return f"{self.architectures[self.owners[row]].name}-{self.sides[row]}"


def make_field(
    like: str = "both",
    *,
    num_classes: int = CLASSES,
    image: tuple[int, int],
    latency: Predict | None = None,
    memory: Predict | None = None,
    kinds: Sequence[str] | None = None,
) -> Field:
    """Every candidate with all that it costs.

    Args:
        like: `yolov4`, `efficientdet` or `both`.
        num_classes: of the models.
        image: (height, width) of the camera's images.
        latency: predicts it; without it there is none.
        memory: predicts it; weights and the activations of eager torch in fp32 if None.
        kinds: only these, such as `csp`; all if None.

    Raises:
        UnknownName: there is no such family.
        InvalidValue: it has no architecture of these kinds.
    """
    chosen = [one for one in list_candidates(like) if kinds is None or one.kind in kinds]
    if not chosen:
        raise InvalidValue("kinds", kinds, f"some that the family {like} has")
    predicts = {"memory": memory or weights_and_activations}
    if latency is not None:
        predicts["latency"] = latency
    columns: dict[str, list[Values]] = {}
    for own in chosen:
        for name, column in _columns(own, num_classes, image, predicts).items():
            columns.setdefault(name, []).append(column)
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    names = ("parameters", "MACs", "object", *predicts)
    return Field(
        architectures=tuple(chosen),
        owners=np.repeat(np.arange(len(chosen)), [len(one.image_sizes) for one in chosen]),
        sides=np.concatenate([one.image_sizes for one in chosen]).astype(np.int64),
        capacity=joined["capacity"],
        values={name: joined[name] for name in names},
        bars={name: (joined[f"{name} low"], joined[f"{name} high"]) for name in predicts},
    )


def weights_and_activations(_: ModelSpec, cost: NetworkCost, sides: Sequence[int]) -> Spans:
    """Bytes of the weights, and of the activations that exist at once in eager torch."""
    own = cost.image_size[0]
    grown = cost.weight_bytes + cost.peak_bytes * (np.asarray(sides, np.float64) / own) ** 2
    return Spans(grown, grown, grown)


def macs_at(cost: NetworkCost, sides: Sequence[int]) -> Values:
    """(S,) multiply-accumulates at each image side; those behind a mean over the image stay."""
    own = cost.image_size[0]
    pooled = sum(one.macs for one in cost.layers if one.shape[2:] == (1, 1))
    spread = sum(one.macs for one in cost.layers) - pooled
    return np.asarray(pooled + spread * (np.asarray(sides, np.float64) / own) ** 2)


def _columns(
    own: Architecture,
    num_classes: int,
    image: tuple[int, int],
    predicts: dict[str, Predict],
) -> dict[str, Values]:
    """The rows of one architecture."""
    sides = own.image_sizes
    count = counted_with(own.spec, num_classes)
    columns = {
        "capacity": capacity_of(own, sides),
        "parameters": np.full(len(sides), float(count.parameters)),
        "MACs": macs_at(count.cost, sides),
        "object": np.array([smallest_object(own.spec, side, image) for side in sides]),
    }
    for name, predict in predicts.items():
        spans = predict(own.spec.replace(num_classes=num_classes), count.cost, sides)
        columns |= {name: spans.middle, f"{name} low": spans.low, f"{name} high": spans.high}
    return columns


def capacity_of(own: Architecture, sides: Sequence[int]) -> Values:
    """(S,) the capacity of an architecture; of a plain one that of its partial twin."""
    count = counted_with((own.twin or own.spec), CLASSES)
    return capacity(build_of(count.cost, count.receptive_field), sides)


@cache
def counted_with(spec: ModelSpec, num_classes: int) -> Counted:
    """What the table holds of an architecture, for a number of classes.

    Raises:
        KeyError: it is no candidate.
    """
    found = read_table()[key_of(spec)]
    cost = with_classes(found.cost, spec, num_classes)
    more = cost.parameters - found.cost.parameters
    return replace(found, cost=cost, parameters=found.parameters + more)
