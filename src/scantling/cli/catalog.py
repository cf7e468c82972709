"""scantling list — the models that have a name."""

import json
from dataclasses import dataclass

import typer

from .exit_codes import WORKED
from .options import JsonOption


@dataclass(frozen=True)
class ListOptions:
    """What `scantling list` can be told."""

    json: JsonOption = False


def list_models(options: ListOptions) -> int:
    """List the models that have a name."""
    from ..specs import CATALOG

    rows = [
        {
            "name": spec.name,
            "image_size": list(spec.image_size),
            "strides": list(spec.strides),
            "backbone": spec.backbone.kind,
            "neck": spec.neck.kind,
        }
        for spec in CATALOG.values()
    ]
    if options.json:
        typer.echo(json.dumps(rows))
        return WORKED
    typer.echo(f"{'name':<20} {'input':>9}  {'strides':<20} backbone, neck")
    for row in rows:
        size, strides = "x".join(map(str, row["image_size"])), " ".join(map(str, row["strides"]))
        typer.echo(f"{row['name']:<20} {size:>9}  {strides:<20} {row['backbone']}, {row['neck']}")
    return WORKED
