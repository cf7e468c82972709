"""Table of candidates: every architecture at every image size, with its costs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidValue
from ...specs import ModelSpec
from ..costs import NetworkCost
from ..laws import resize
from .accuracy_proxy import proxy_inputs, proxy_scores
from .architecture_costs import ArchitectureCost, key_of, read_table, with_classes
from .budget import smallest_object
from .candidates import CLASSES, Architecture, list_candidates

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CostEstimates:
    """A predicted cost at each image size, with an error bar: (S,) each."""

    middle: Values
    low: Values
    high: Values


# What an architecture takes at each side of a square image: latency in seconds, memory in bytes.
CostModel = Callable[[ModelSpec, NetworkCost, Sequence[int]], CostEstimates]


@dataclass(frozen=True, eq=False)
class CandidateTable:
    """Candidates and their costs, one row for each architecture and image size.

    Args:
        architectures: that the rows are of.
        owners: (C,) place of each row's architecture.
        sides: (C,) of the image.
        accuracy_proxy: (C,) what they are ranked by.
        values: (C,) by constraint: `parameters`, `MACs`, `memory`, `latency`, `object`.
        bars: (C,) low and high of `memory` and `latency`.
        order: (C,) rows from best to worst: by proxy, then least MACs and parameters, then name.
    """

    architectures: tuple[Architecture, ...]
    owners: NDArray[np.int64]
    sides: NDArray[np.int64]
    accuracy_proxy: Values
    values: dict[str, Values]
    bars: dict[str, tuple[Values, Values]]
    order: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        names = np.argsort(np.argsort([one.name for one in self.architectures]))
        # proxies that differ by rounding alone are alike
        keys = (
            self.sides,
            names[self.owners],
            self.values["parameters"],
            self.values["MACs"],
            -np.round(self.accuracy_proxy, 9),
        )
        object.__setattr__(self, "order", np.lexsort(keys))

    def __len__(self) -> int:
        return len(self.owners)

    def limit_value(self, constraint: str) -> Values:
        """(C,) values compared with a limit: the upper end of an error bar where there is one."""
        if constraint in self.bars:
            return self.bars[constraint][1]
        return self.values[constraint]

    def spec(self, row: int, *, num_classes: int = CLASSES) -> ModelSpec:
        """Spec of a row's model."""
        own, side = self.architectures[self.owners[row]], int(self.sides[row])
        return resize(own.spec, side).replace(name=f"{own.name}-{side}", num_classes=num_classes)

    def name(self, row: int) -> str:
        """Name of a row's model."""
        return f"{self.architectures[self.owners[row]].name}-{self.sides[row]}"


def make_candidate_table(
    like: str = "both",
    *,
    num_classes: int = CLASSES,
    image: tuple[int, int],
    cost_models: Mapping[str, CostModel] | None = None,
    kinds: Sequence[str] | None = None,
) -> CandidateTable:
    """Make the table of candidates with their costs.

    Args:
        like: `yolov4`, `efficientdet` or `both`.
        num_classes: of the models.
        image: (height, width) of the camera's images.
        cost_models: predict `latency` and `memory`, as `Device.cost_models`. Without a model of
            latency there is none; memory is then that of eager torch in fp32.
        kinds: only these, such as `csp`; all if None.

    Raises:
        UnknownName: there is no such family.
        InvalidValue: it has no architecture of these kinds.
    """
    chosen = [one for one in list_candidates(like) if kinds is None or one.kind in kinds]
    if not chosen:
        raise InvalidValue("kinds", kinds, f"some that the family {like} has")
    predicts = {"memory": weights_and_activations, **(cost_models or {})}
    columns: dict[str, list[Values]] = {}
    for own in chosen:
        for name, column in _columns(own, num_classes, image, predicts).items():
            columns.setdefault(name, []).append(column)
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    names = ("parameters", "MACs", "object", *predicts)
    return CandidateTable(
        architectures=tuple(chosen),
        owners=np.repeat(np.arange(len(chosen)), [len(one.image_sizes) for one in chosen]),
        sides=np.concatenate([one.image_sizes for one in chosen]).astype(np.int64),
        accuracy_proxy=joined["accuracy proxy"],
        values={name: joined[name] for name in names},
        bars={name: (joined[f"{name} low"], joined[f"{name} high"]) for name in predicts},
    )


def weights_and_activations(_: ModelSpec, cost: NetworkCost, sides: Sequence[int]) -> CostEstimates:
    """Memory of weights and live activations in eager fp32 torch, in bytes."""
    own = cost.image_size[0]
    grown = cost.weight_bytes + cost.peak_bytes * (np.asarray(sides, np.float64) / own) ** 2
    return CostEstimates(grown, grown, grown)


def macs_at(cost: NetworkCost, sides: Sequence[int]) -> Values:
    """(S,) multiply-accumulates at each image side; layers after global pooling stay constant."""
    own = cost.image_size[0]
    pooled = sum(one.macs for one in cost.layers if one.shape[2:] == (1, 1))
    spread = sum(one.macs for one in cost.layers) - pooled
    return np.asarray(pooled + spread * (np.asarray(sides, np.float64) / own) ** 2)


def _columns(
    own: Architecture, num_classes: int, image: tuple[int, int], predicts: Mapping[str, CostModel]
) -> dict[str, Values]:
    """Columns of one architecture's rows."""
    sides = own.image_sizes
    count = cost_with_classes(own.spec, num_classes)
    columns = {
        "accuracy proxy": proxy_of(own, sides),
        "parameters": np.full(len(sides), float(count.parameters)),
        "MACs": macs_at(count.cost, sides),
        "object": np.array([smallest_object(own.spec, side, image) for side in sides]),
    }
    for name, predict in predicts.items():
        spans = predict(own.spec.replace(num_classes=num_classes), count.cost, sides)
        columns |= {name: spans.middle, f"{name} low": spans.low, f"{name} high": spans.high}
    return columns


def proxy_of(own: Architecture, sides: Sequence[int]) -> Values:
    """(S,) accuracy proxy of an architecture; a plain one has that of its CSP twin."""
    count = cost_with_classes((own.twin or own.spec), CLASSES)
    return proxy_scores(proxy_inputs(count.cost, count.receptive_field), sides)


@cache
def cost_with_classes(spec: ModelSpec, num_classes: int) -> ArchitectureCost:
    """Stored cost of an architecture, adapted to a number of classes.

    Raises:
        KeyError: it is no candidate.
    """
    found = read_table()[key_of(spec)]
    cost = with_classes(found.cost, spec, num_classes)
    more = cost.parameters - found.cost.parameters
    return replace(found, cost=cost, parameters=found.parameters + more)
