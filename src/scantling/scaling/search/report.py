"""What was found, as lines, tables, plain values and the file of a spec."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...specs import write_spec
from .budget import show_value
from .run import Found
from .search import Costs, Fit, Refused

Row = tuple[str | int | float | None, ...]
COSTS = ("latency", "memory", "parameters", "MACs", "object")
NEIGHBOUR_COLUMNS = ("model", "capacity", "refused by", "needs", "allowed")


def describe_fit(found: Found) -> list[str]:
    """The choice and its reasons, a sentence a line."""
    fit, spec = found.fit, found.spec
    own = fit.costs
    side = spec.image_size[0]
    strides = ", ".join(map(str, spec.strides))
    lines = [
        f"{spec.name}: {fit.kind} of {fit.family}, input {side}×{side}, strides {strides}, "
        f"{spec.num_classes} classes",
        f"predicted: {', '.join(describe_costs(own, fit))}",
        f"capacity {own.capacity:.1f} (YOLOv4-CSP at 640 has 100), which "
        + found.criterion.describe(),
        f"{fit.feasible:,} of {fit.candidates:,} candidates are within the budget; "
        + describe_binding(fit),
    ]
    if found.device is not None:
        lines.append(f"device: {found.device.description}")
    if "object" in fit.budget.limits:
        height, width = fit.budget.image
        lines.append(
            f"smallest object {show_value('object', own.values['object'])} in images of "
            f"{height}×{width}: 1.5 cells of the finest level on the input"
        )
    return lines + ([] if found.advice is None else found.advice.describe(side))


def describe_costs(costs: Costs, fit: Fit) -> list[str]:
    """Each cost of a model, with its error bar where it has one, and its limit."""
    limits = fit.budget.limits
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


def describe_binding(fit: Fit) -> str:
    """Which constraint binds."""
    if fit.binding is None:
        return "none binds: it is the best candidate of all"
    limit = show_value(fit.binding, fit.budget.limits[fit.binding])
    return f"the limit of {fit.binding} binds: without {limit} the choice would be a better one"


def neighbour_table(fit: Fit) -> list[Row]:
    """The rejected neighbours, in the order of `NEIGHBOUR_COLUMNS`, then those that are next."""
    rows: list[Row] = [_neighbour(one) for one in fit.neighbours]
    rows += [(one.name, one.capacity, "ranks lower", "", "") for one in fit.runners_up]
    return rows


def front_columns(fit: Fit) -> tuple[str, ...]:
    """What `front_table` shows."""
    return ("model", fit.axis, *(("up to",) if fit.axis == "latency" else ()), "capacity")


def front_table(fit: Fit, *, most: int | None = None) -> list[Row]:
    """The Pareto front, cheapest first.

    Args:
        fit: the choice.
        most: rows, spread evenly; all if None.
    """
    front = fit.front
    if most is not None and len(front) > most:
        steps = [round(place * (len(front) - 1) / (most - 1)) for place in range(most)]
        front = tuple(front[place] for place in steps)
    rows: list[Row] = []
    for one in front:
        bar = (show_value("latency", one.bars["latency"][1]),) if fit.axis == "latency" else ()
        rows.append((one.name, show_value(fit.axis, one.values[fit.axis]), *bar, one.capacity))
    return rows


def to_record(found: Found) -> dict[str, Any]:
    """Everything as plain values, for JSON. Seconds and bytes, without prefixes."""
    fit = found.fit
    return {
        "model": found.spec.name,
        "kind": fit.kind,
        "family": fit.family,
        "image_size": list(found.spec.image_size),
        "num_classes": found.spec.num_classes,
        **_record(fit.costs),
        "budget": fit.budget.limits,
        "camera_image": list(fit.budget.image),
        "binding": fit.binding,
        "criterion": found.criterion.describe(),
        "weights": list(found.criterion.weights),
        "device": None if found.device is None else found.device.description,
        "candidates": fit.candidates,
        "feasible": fit.feasible,
        "neighbours": [
            {
                **_record(one.costs),
                "model": one.costs.name,
                "refused_by": one.constraint,
                "needs": one.value,
                "allowed": one.limit,
            }
            for one in fit.neighbours
        ],
        "runners_up": [{"model": one.name, **_record(one)} for one in fit.runners_up],
        "front": [{"model": one.name, **_record(one)} for one in fit.front],
        "data": None if found.advice is None else found.advice.describe(found.spec.image_size[0]),
    }


def write_fit(found: Found, path: Path) -> None:
    """Write the model into a file that every command takes as a model name, reasons beside it.

    Raises:
        InvalidValue: the path does not end in `.json`.
        InvalidSpec: nothing can be written there.
    """
    record = to_record(found)
    kept = {key: value for key, value in record.items() if key not in ("front", "runners_up")}
    write_spec(found.spec, path, notes={"reasons": [*describe_fit(found)], "fit": kept})


def summarise_spec(found: Found) -> str:
    """The shape of the network in a line: stages, neck and head."""
    backbone, neck = found.spec.backbone, found.spec.neck
    stages = " ".join(f"{stage.kind}×{stage.depth}:{stage.channels}" for stage in backbone.stages)
    widths = "/".join(map(str, neck.channels))
    return f"{stages}; neck {neck.kind}×{neck.depth} {widths}"


def _neighbour(one: Refused) -> Row:
    return (
        one.costs.name,
        one.costs.capacity,
        one.constraint,
        show_value(one.constraint, one.value),
        show_value(one.constraint, one.limit),
    )


def _record(costs: Costs) -> dict[str, Any]:
    bars: dict[str, Sequence[float]] = {
        f"{name}_range": list(bar) for name, bar in costs.bars.items()
    }
    return {"capacity": costs.capacity, **costs.values, **bars}
