"""scantling list — the models that have a name."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from .options import JsonOption
from .output import WORKED

if TYPE_CHECKING:
    from ..specs import ModelSpec


@dataclass(frozen=True)
class ListOptions:
    """The options of `scantling list`."""

    json: JsonOption = False


def list_models(options: ListOptions) -> int:
    """List the models that have a name: input, strides, parameters, multiply-accumulates."""
    from ..specs import CATALOG

    rows = [describe_variant(spec) for spec in CATALOG.values()]
    if options.json:
        typer.echo(json.dumps(rows))
        return WORKED
    typer.echo(
        f"{'name':<20} {'input':>9}  {'strides':<18} {'parameters':>12} {'GMACs':>7}  weights"
    )
    for row in rows:
        size, strides = "x".join(map(str, row["image_size"])), " ".join(map(str, row["strides"]))
        typer.echo(
            f"{row['name']:<20} {size:>9}  {strides:<18} {row['parameters']:>12,} "
            f"{row['macs'] / 1e9:>7.2f}  {'official' if row['official_weights'] else '-'}"
        )
    return WORKED


def describe_variant(spec: "ModelSpec") -> dict[str, Any]:
    """What a variant is and costs, as plain values for JSON."""
    from ..specs import SIZES

    size = SIZES[spec.name]
    return {
        "name": spec.name,
        "image_size": list(spec.image_size),
        "strides": list(spec.strides),
        "num_classes": spec.num_classes,
        "parameters": size.parameters,
        "macs": size.macs,
        "official_weights": size.weights,
        "backbone": spec.backbone.kind,
        "neck": spec.neck.kind,
        "head": spec.head_kind,
    }
