"""The best model within a budget: all candidates are looked at, so none better is missed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import InfeasibleBudget, InvalidValue
from ...specs import ModelSpec
from .budget import Budget, show_value
from .rows import Field, Values

NEIGHBOURS = 6
# Of each constraint, what it asks for less of.
OPTIONS = {
    "latency": "--latency",
    "memory": "--memory",
    "parameters": "--params",
    "MACs": "--macs",
    "object": "--min-object",
}


@dataclass(frozen=True)
class Costs:
    """What a candidate costs, and what it is ranked by.

    Args:
        name: what it was derived from, and its image side.
        capacity: 100 is that of YOLOv4-CSP at 640. It is no AP.
        values: by constraint: `parameters`, `MACs`, `memory` in bytes, `latency` in seconds,
            `object` in pixels of the camera's image.
        bars: low and high of what is predicted, by constraint.
    """

    name: str
    capacity: float
    values: dict[str, float]
    bars: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Refused:
    """A better candidate that costs too much.

    Args:
        costs: of it.
        constraint: that it breaks; the one that it breaks the most.
        value: that it would need, at the upper end of the error bar.
        limit: that it has.
    """

    costs: Costs
    constraint: str
    value: float
    limit: float


@dataclass(frozen=True)
class Fit:
    """The best model within a budget, and why it is that.

    Args:
        spec: of the model.
        kind: of its architecture, as in `Architecture`.
        family: `yolov4` or `efficientdet`.
        budget: that it was chosen for.
        costs: of it.
        binding: the constraint without which the best model would be better than without any other;
            None where nothing binds.
        neighbours: the nearest candidates that rank higher, each with what refused it.
        runners_up: the next best within the budget, of other architectures.
        front: the candidates than which no cheaper one is as good, cheapest first: by latency, or
            by MACs without a device.
        axis: `latency` or `MACs`.
        feasible: how many candidates are within the budget.
        candidates: how many there are.
    """

    spec: ModelSpec
    kind: str
    family: str
    budget: Budget
    costs: Costs
    binding: str | None
    neighbours: tuple[Refused, ...]
    runners_up: tuple[Costs, ...]
    front: tuple[Costs, ...]
    axis: str
    feasible: int
    candidates: int


def search(budget: Budget, field: Field, *, num_classes: int = 80) -> Fit:
    """The candidate that ranks highest among those within a budget.

    The ranking is that of the field and knows no budget. So a looser budget, which allows the same
    candidates and more, never leads to one that ranks lower.

    Args:
        budget: a candidate is within it if the upper ends of its error bars are.
        field: all candidates.
        num_classes: of the model.

    Raises:
        InfeasibleBudget: names the constraint that no candidate meets, and the least there is.
        InvalidValue: a latency without a device to predict it for.
    """
    limits = budget.limits
    if "latency" in limits and "latency" not in field.values:
        raise InvalidValue("--latency", budget.latency, "a device profile too: --device box.json")
    within = {name: field.limit_value(name) <= limit for name, limit in limits.items()}
    allowed = _all_of(within, len(field))
    if not allowed.any():
        raise _explain(field, limits, within)
    ranked = field.order[allowed[field.order]]
    best = int(ranked[0])
    axis = "latency" if "latency" in field.values else "MACs"
    own = field.architectures[field.owners[best]]
    return Fit(
        spec=field.spec(best, num_classes=num_classes),
        kind=own.kind,
        family=own.family,
        budget=budget,
        costs=costs_of(field, best),
        binding=_find_binding(field, within, best),
        neighbours=_find_neighbours(field, limits, within, best),
        runners_up=tuple(costs_of(field, row) for row in _runners_up(field, ranked)),
        front=tuple(costs_of(field, row) for row in find_front(field, axis)),
        axis=axis,
        feasible=int(allowed.sum()),
        candidates=len(field),
    )


def costs_of(field: Field, row: int) -> Costs:
    """What one candidate costs."""
    return Costs(
        name=field.name(row),
        capacity=float(field.capacity[row]),
        values={name: float(column[row]) for name, column in field.values.items()},
        bars={key: (float(low[row]), float(high[row])) for key, (low, high) in field.bars.items()},
    )


def find_front(field: Field, axis: str) -> list[int]:
    """Rows than which no cheaper one has as much capacity, cheapest first."""
    cost = field.values[axis]
    order = np.lexsort((-field.capacity, cost))
    best = np.maximum.accumulate(field.capacity[order])
    rises = np.concatenate([[True], best[1:] > best[:-1] + 1e-9])
    return [int(row) for row in order[rises]]


def _all_of(within: dict[str, NDArray[np.bool_]], count: int) -> NDArray[np.bool_]:
    allowed = np.ones(count, bool)
    for mask in within.values():
        allowed &= mask
    return allowed


def _without(within: dict[str, NDArray[np.bool_]], name: str, count: int) -> NDArray[np.bool_]:
    """Who is within all other constraints."""
    return _all_of({key: mask for key, mask in within.items() if key != name}, count)


def _ranks(field: Field) -> NDArray[np.int64]:
    ranks = np.empty(len(field), np.int64)
    ranks[field.order] = np.arange(len(field))
    return ranks


def _find_binding(field: Field, within: dict[str, NDArray[np.bool_]], best: int) -> str | None:
    """The constraint whose lifting alone would lead to the best model."""
    ranks = _ranks(field)
    reached = {
        name: int(ranks[_without(within, name, len(field))].min()) for name in sorted(within)
    }
    better = {name: rank for name, rank in reached.items() if rank < ranks[best]}
    return min(better, key=lambda name: better[name]) if better else None


def _find_neighbours(
    field: Field, limits: dict[str, float], within: dict[str, NDArray[np.bool_]], best: int
) -> tuple[Refused, ...]:
    """Of those that rank higher, the ones whose parameters and MACs are nearest; each
    architecture once.
    """
    above = field.order[: int(_ranks(field)[best])]
    sizes = np.log([field.values["MACs"], field.values["parameters"]])
    distance = np.abs(sizes[:, above] - sizes[:, [best]]).sum(axis=0)
    nearest: list[int] = []
    owners: set[int] = set()
    for row in above[np.argsort(distance, kind="stable")].tolist():
        if len(nearest) == NEIGHBOURS:
            break
        if (owner := int(field.owners[row])) not in owners:
            owners.add(owner)
            nearest.append(row)
    return tuple(_refuse(field, limits, within, row) for row in nearest)


def _runners_up(field: Field, ranked: NDArray[np.int64]) -> list[int]:
    """The next best of other architectures."""
    _, first = np.unique(field.owners[ranked], return_index=True)
    return [int(ranked[place]) for place in np.sort(first)[1 : NEIGHBOURS // 2 + 1]]


def _refuse(
    field: Field, limits: dict[str, float], within: dict[str, NDArray[np.bool_]], row: int
) -> Refused:
    """What a row breaks the most."""
    broken = [name for name, mask in within.items() if not mask[row]]
    needs = {name: float(field.limit_value(name)[row]) for name in broken}
    worst = max(broken, key=lambda name: needs[name] / limits[name])
    return Refused(costs_of(field, row), worst, needs[worst], limits[worst])


def _explain(
    field: Field, limits: dict[str, float], within: dict[str, NDArray[np.bool_]]
) -> InfeasibleBudget:
    """Which constraint is in the way: alone, or beside the others."""
    alone = {name: field.limit_value(name) for name in limits if not within[name].any()}
    beside = {
        name: field.limit_value(name)[rest]
        for name in limits
        if (rest := _without(within, name, len(field))).any()
    }
    reached = beside or alone
    if not reached:  # several are in each other's way
        reached = {name: field.limit_value(name) for name in limits}
        name = min(limits, key=lambda one: _share(within[one]))
        return _say(name, limits[name], reached[name], "of all models", field)
    name = min(reached, key=lambda one: float(reached[one].min()) / limits[one])
    others = [f"{OPTIONS[one]} {show_value(one, limits[one])}" for one in limits if one != name]
    where = f"with {' and '.join(others)}" if name in beside and others else "of all models"
    return _say(name, limits[name], reached[name], where, field)


def _share(mask: NDArray[np.bool_]) -> float:
    return float(mask.mean())


def _say(name: str, limit: float, values: Values, where: str, field: Field) -> InfeasibleBudget:
    least = float(values.min())
    rows = np.flatnonzero(field.limit_value(name) == least)
    what = (
        f"{name} at most {show_value(name, limit)}"
        if name != "object"
        else (f"objects of {show_value(name, limit)}")
    )
    return InfeasibleBudget(
        name,
        f"{what} cannot be had; the smallest that is reachable {where} is "
        f"{show_value(name, least)} ({field.name(int(rows[0]))})",
        f"Allow {OPTIONS[name]} {_rounded_up(name, least)} or more",
    )


def _rounded_up(name: str, value: float) -> str:
    """A value that is surely enough, as the option takes it."""
    return show_value(name, value * 1.005).replace(" ", "")
