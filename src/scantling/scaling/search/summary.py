"""Summaries of a scaled model: text, tables, JSON values and the spec file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...specs import write_spec
from .budget import show_value
from .candidate_search import CandidateCosts, RejectedCandidate, SearchResult
from .scaled_model import ScaledModel

Row = tuple[str | int | float | None, ...]
COSTS = ("latency", "memory", "parameters", "MACs", "object")
NEIGHBOUR_COLUMNS = ("model", "proxy", "refused by", "needs", "allowed")


def describe_model(scaled: ScaledModel) -> list[str]:
    """Describe a scaled model and why it was chosen, one sentence per line."""
    result, spec = scaled.search, scaled.spec
    own = result.costs
    side = spec.image_size[0]
    strides = ", ".join(map(str, spec.strides))
    lines = [
        f"{spec.name}: {result.kind} of {result.family}, input {side}×{side}, strides {strides}, "
        f"{spec.num_classes} classes",
        f"predicted: {', '.join(describe_costs(own, result))}",
        f"accuracy proxy {own.accuracy_proxy:.1f} (YOLOv4-CSP at 640 has 100), which "
        + scaled.proxy.describe(),
        f"{result.feasible:,} of {result.candidates:,} candidates are within the budget; "
        + describe_binding(result),
    ]
    if scaled.device is not None:
        lines.append(f"device: {scaled.device.description}")
    if "object" in result.budget.limits:
        height, width = result.budget.image
        lines.append(
            f"smallest object {show_value('object', own.values['object'])} in images of "
            f"{height}×{width}: 1.5 cells of the finest level on the input"
        )
    return lines + ([] if scaled.advice is None else scaled.advice.describe(side))


def describe_costs(costs: CandidateCosts, result: SearchResult) -> list[str]:
    """Format each cost of a candidate with its error bar and limit."""
    limits = result.budget.limits
    shown = []
    for name in COSTS:
        if name not in costs.values or (name == "object" and name not in limits):
            continue
        text = f"{name} {show_value(name, costs.values[name])}"
        low, high = costs.bars.get(name, (0.0, 0.0))
        if high > low:
            text += f" ({show_value(name, low)} to {show_value(name, high)})"
        if name in limits:
            text += f" of {show_value(name, limits[name])}"
        shown.append(text)
    return shown


def describe_binding(result: SearchResult) -> str:
    """Say which constraint binds."""
    if result.binding is None:
        return "none binds: it is the best candidate of all"
    limit = show_value(result.binding, result.budget.limits[result.binding])
    return f"the limit of {result.binding} binds: without {limit} the choice would be a better one"


def neighbour_table(result: SearchResult) -> list[Row]:
    """Rows of the rejected neighbours, as in `NEIGHBOUR_COLUMNS`, then of the runners-up."""
    rows: list[Row] = [_neighbour(one) for one in result.neighbours]
    rows += [(one.name, one.accuracy_proxy, "ranks lower", "", "") for one in result.runners_up]
    return rows


def pareto_columns(result: SearchResult) -> tuple[str, ...]:
    """Column names of `pareto_table`."""
    return ("model", result.axis, *(("up to",) if result.axis == "latency" else ()), "proxy")


def pareto_table(
    result: SearchResult, *, most: int | None = None, beyond: float | None = None
) -> list[Row]:
    """Rows of the Pareto front, cheapest first.

    Args:
        result: the choice.
        most: rows, spread evenly; all if None.
        beyond: times the limit of the axis, up to which; all if None, or where it has no limit.
    """
    front = result.front
    limit = result.budget.limits.get(result.axis)
    if beyond is not None and limit is not None:
        front = tuple(one for one in front if one.values[result.axis] <= beyond * limit)
    if most is not None and len(front) > most:
        steps = [round(place * (len(front) - 1) / (most - 1)) for place in range(most)]
        front = tuple(front[place] for place in steps)
    rows: list[Row] = []
    for one in front:
        bar = (show_value("latency", one.bars["latency"][1]),) if result.axis == "latency" else ()
        rows.append(
            (one.name, show_value(result.axis, one.values[result.axis]), *bar, one.accuracy_proxy)
        )
    return rows


def to_record(scaled: ScaledModel) -> dict[str, Any]:
    """The scaled model as plain values for JSON, in seconds and bytes."""
    result = scaled.search
    return {
        "model": scaled.spec.name,
        "kind": result.kind,
        "family": result.family,
        "image_size": list(scaled.spec.image_size),
        "num_classes": scaled.spec.num_classes,
        **_record(result.costs),
        "budget": result.budget.limits,
        "camera_image": list(result.budget.image),
        "binding": result.binding,
        "proxy_fit": scaled.proxy.describe(),
        "proxy_weights": list(scaled.proxy.weights),
        "device": None if scaled.device is None else scaled.device.description,
        "candidates": result.candidates,
        "feasible": result.feasible,
        "neighbours": [
            {
                **_record(one.costs),
                "model": one.costs.name,
                "refused_by": one.constraint,
                "needs": one.value,
                "allowed": one.limit,
            }
            for one in result.neighbours
        ],
        "runners_up": [{"model": one.name, **_record(one)} for one in result.runners_up],
        "front": [{"model": one.name, **_record(one)} for one in result.front],
        "data": None
        if scaled.advice is None
        else scaled.advice.describe(scaled.spec.image_size[0]),
    }


def write_scaled_model(scaled: ScaledModel, path: Path) -> None:
    """Write the spec, with its reasons, into a file that every command takes as a model.

    Raises:
        InvalidValue: the path does not end in `.json`.
        InvalidSpec: nothing can be written there.
    """
    record = to_record(scaled)
    kept = {key: value for key, value in record.items() if key not in ("front", "runners_up")}
    write_spec(scaled.spec, path, notes={"reasons": [*describe_model(scaled)], "search": kept})


def summarise_spec(scaled: ScaledModel) -> str:
    """Stages, neck and head of the network, in one line."""
    backbone, neck = scaled.spec.backbone, scaled.spec.neck
    stages = " ".join(f"{stage.kind}×{stage.depth}:{stage.channels}" for stage in backbone.stages)
    widths = "/".join(map(str, neck.channels))
    return f"{stages}; neck {neck.kind}×{neck.depth} {widths}"


def _neighbour(one: RejectedCandidate) -> Row:
    return (
        one.costs.name,
        one.costs.accuracy_proxy,
        one.constraint,
        show_value(one.constraint, one.value),
        show_value(one.constraint, one.limit),
    )


def _record(costs: CandidateCosts) -> dict[str, Any]:
    bars: dict[str, Sequence[float]] = {
        f"{name}_range": list(bar) for name, bar in costs.bars.items()
    }
    return {"accuracy_proxy": costs.accuracy_proxy, **costs.values, **bars}
