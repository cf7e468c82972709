"""Exhaustive search for the best candidate within a budget."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import InfeasibleBudget, InvalidValue
from ...specs import ModelSpec
from .budget import Budget, show_value
from .candidate_table import CandidateTable, Values

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
class CandidateCosts:
    """Costs and accuracy proxy of a candidate.

    Args:
        name: what it was derived from, and its image side.
        accuracy_proxy: 100 is that of YOLOv4-CSP at 640. It is no AP.
        values: by constraint: `parameters`, `MACs`, `memory` in bytes, `latency` in seconds,
            `object` in pixels of the camera's image.
        bars: low and high of what is predicted, by constraint.
    """

    name: str
    accuracy_proxy: float
    values: dict[str, float]
    bars: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class RejectedCandidate:
    """A higher-ranked candidate that breaks a constraint.

    Args:
        costs: of it.
        constraint: that it breaks; the one that it breaks the most.
        value: that it would need, at the upper end of the error bar.
        limit: that it has.
    """

    costs: CandidateCosts
    constraint: str
    value: float
    limit: float


@dataclass(frozen=True)
class SearchResult:
    """The best candidate within a budget, and why.

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
    costs: CandidateCosts
    binding: str | None
    neighbours: tuple[RejectedCandidate, ...]
    runners_up: tuple[CandidateCosts, ...]
    front: tuple[CandidateCosts, ...]
    axis: str
    feasible: int
    candidates: int


def search_candidates(
    budget: Budget, table: CandidateTable, *, num_classes: int = 80
) -> SearchResult:
    """Find the highest-ranked candidate within a budget.

    The ranking is that of the table and knows no budget. So a looser budget, which allows the same
    candidates and more, never leads to one that ranks lower.

    Args:
        budget: a candidate is within it if the upper ends of its error bars are.
        table: all candidates.
        num_classes: of the model.

    Raises:
        InfeasibleBudget: names the constraint that no candidate meets, and the least there is.
        InvalidValue: a latency without a device to predict it for.
    """
    limits = budget.limits
    if "latency" in limits and "latency" not in table.values:
        expected = "a device profile too: --device-profile box.json"
        raise InvalidValue("--latency", budget.latency, expected)
    within = {name: table.limit_value(name) <= limit for name, limit in limits.items()}
    allowed = _all_of(within, len(table))
    if not allowed.any():
        raise _explain(table, limits, within)
    ranked = table.order[allowed[table.order]]
    best = int(ranked[0])
    axis = "latency" if "latency" in table.values else "MACs"
    own = table.architectures[table.owners[best]]
    return SearchResult(
        spec=table.spec(best, num_classes=num_classes),
        kind=own.kind,
        family=own.family,
        budget=budget,
        costs=candidate_costs(table, best),
        binding=_find_binding(table, within, best),
        neighbours=_find_neighbours(table, limits, within, best),
        runners_up=tuple(candidate_costs(table, row) for row in _runners_up(table, ranked)),
        front=tuple(candidate_costs(table, row) for row in find_pareto_front(table, axis)),
        axis=axis,
        feasible=int(allowed.sum()),
        candidates=len(table),
    )


def candidate_costs(table: CandidateTable, row: int) -> CandidateCosts:
    """Costs of one row."""
    return CandidateCosts(
        name=table.name(row),
        accuracy_proxy=float(table.accuracy_proxy[row]),
        values={name: float(column[row]) for name, column in table.values.items()},
        bars={key: (float(low[row]), float(high[row])) for key, (low, high) in table.bars.items()},
    )


def find_pareto_front(table: CandidateTable, axis: str) -> list[int]:
    """Rows of the Pareto front, cheapest first."""
    cost = table.values[axis]
    order = np.lexsort((-table.accuracy_proxy, cost))
    best = np.maximum.accumulate(table.accuracy_proxy[order])
    rises = np.concatenate([[True], best[1:] > best[:-1] + 1e-9])
    return [int(row) for row in order[rises]]


def _all_of(within: dict[str, NDArray[np.bool_]], count: int) -> NDArray[np.bool_]:
    allowed = np.ones(count, bool)
    for mask in within.values():
        allowed &= mask
    return allowed


def _without(within: dict[str, NDArray[np.bool_]], name: str, count: int) -> NDArray[np.bool_]:
    """Mask of the rows that meet all other constraints."""
    return _all_of({key: mask for key, mask in within.items() if key != name}, count)


def _ranks(table: CandidateTable) -> NDArray[np.int64]:
    ranks = np.empty(len(table), np.int64)
    ranks[table.order] = np.arange(len(table))
    return ranks


def _find_binding(
    table: CandidateTable, within: dict[str, NDArray[np.bool_]], best: int
) -> str | None:
    """The binding constraint: the one whose removal alone would gain the most."""
    ranks = _ranks(table)
    reached = {
        name: int(ranks[_without(within, name, len(table))].min()) for name in sorted(within)
    }
    better = {name: rank for name, rank in reached.items() if rank < ranks[best]}
    return min(better, key=lambda name: better[name]) if better else None


def _find_neighbours(
    table: CandidateTable, limits: dict[str, float], within: dict[str, NDArray[np.bool_]], best: int
) -> tuple[RejectedCandidate, ...]:
    """The nearest higher-ranked candidates by parameters and MACs, each
    architecture once.
    """
    above = table.order[: int(_ranks(table)[best])]
    sizes = np.log([table.values["MACs"], table.values["parameters"]])
    distance = np.abs(sizes[:, above] - sizes[:, [best]]).sum(axis=0)
    nearest: list[int] = []
    owners: set[int] = set()
    for row in above[np.argsort(distance, kind="stable")].tolist():
        if len(nearest) == NEIGHBOURS:
            break
        if (owner := int(table.owners[row])) not in owners:
            owners.add(owner)
            nearest.append(row)
    return tuple(_refuse(table, limits, within, row) for row in nearest)


def _runners_up(table: CandidateTable, ranked: NDArray[np.int64]) -> list[int]:
    """The next best rows of other architectures."""
    _, first = np.unique(table.owners[ranked], return_index=True)
    return [int(ranked[place]) for place in np.sort(first)[1 : NEIGHBOURS // 2 + 1]]


def _refuse(
    table: CandidateTable, limits: dict[str, float], within: dict[str, NDArray[np.bool_]], row: int
) -> RejectedCandidate:
    """Reject a row by the constraint that it exceeds the most."""
    broken = [name for name, mask in within.items() if not mask[row]]
    needs = {name: float(table.limit_value(name)[row]) for name in broken}
    worst = max(broken, key=lambda name: needs[name] / limits[name])
    return RejectedCandidate(candidate_costs(table, row), worst, needs[worst], limits[worst])


def _explain(
    table: CandidateTable, limits: dict[str, float], within: dict[str, NDArray[np.bool_]]
) -> InfeasibleBudget:
    """Error that names the infeasible constraint, and the smallest feasible value."""
    alone = {name: table.limit_value(name) for name in limits if not within[name].any()}
    beside = {
        name: table.limit_value(name)[rest]
        for name in limits
        if (rest := _without(within, name, len(table))).any()
    }
    reached = beside or alone
    if not reached:  # several are in each other's way
        reached = {name: table.limit_value(name) for name in limits}
        name = min(limits, key=lambda one: _share(within[one]))
        return _say(name, limits[name], reached[name], "of all models", table)
    name = min(reached, key=lambda one: float(reached[one].min()) / limits[one])
    others = [f"{OPTIONS[one]} {show_value(one, limits[one])}" for one in limits if one != name]
    where = f"with {' and '.join(others)}" if name in beside and others else "of all models"
    return _say(name, limits[name], reached[name], where, table)


def _share(mask: NDArray[np.bool_]) -> float:
    return float(mask.mean())


def _say(
    name: str, limit: float, values: Values, where: str, table: CandidateTable
) -> InfeasibleBudget:
    least = float(values.min())
    rows = np.flatnonzero(table.limit_value(name) == least)
    what = (
        f"{name} at most {show_value(name, limit)}"
        if name != "object"
        else (f"objects of {show_value(name, limit)}")
    )
    return InfeasibleBudget(
        name,
        f"{what} cannot be had; the smallest that is reachable {where} is "
        f"{show_value(name, least)} ({table.name(int(rows[0]))})",
        f"Allow {OPTIONS[name]} {_rounded_up(name, least)} or more",
    )


def _rounded_up(name: str, value: float) -> str:
    """Format a value slightly rounded up, as the option takes it."""
    return show_value(name, value * 1.005).replace(" ", "")
