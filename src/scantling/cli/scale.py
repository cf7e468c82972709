"""scantling scale — the model that fits a budget; or a smaller one out of a trained one."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..errors import InvalidValue, printable
from .options import check_out
from .output import WORKED, download_bar
from .scale_options import ScaleOptions
from .scale_search import find

if TYPE_CHECKING:
    from ..checkpoints import Model


def scale(options: ScaleOptions) -> int:
    """Find the model that fits a budget, with the reasons.

    With a MODEL and --drop-level: make a smaller model out of a trained one, without training it.
    """
    if options.model is None and not options.drop_level:
        return find(options)
    if options.model is None:
        raise InvalidValue("MODEL", None, "the trained model to take levels off")
    if not options.drop_level:
        raise InvalidValue(
            "--drop-level", 0, "it once for each level to take off; or no MODEL, for a search"
        )
    out = check_out(options.out, overwrite=options.overwrite)
    report = write_dropped(options, options.model, out)
    if options.json:
        typer.echo(json.dumps(report))
        return WORKED
    before, after = report["parameters_before"], report["parameters"]
    typer.echo(
        f"{printable(report['name'])}: strides {', '.join(map(str, report['strides']))}, "
        f"{after:,} parameters, {1 - after / before:.1%} fewer"
    )
    typer.echo(printable(report["written"]))
    return WORKED


def write_dropped(options: ScaleOptions, name: str, out: Path) -> dict[str, Any]:
    """Load, drop, save; what came of it, as plain values for JSON."""
    from ..checkpoints import load_model, save_model
    from ..scaling.subnetwork import extract_subnetwork

    with download_bar() as progress:
        model = load_model(
            name,
            weights=options.weights,
            names=options.names,
            cache=options.cache,
            progress=progress,
        )
    dropped = extract_subnetwork(model, options.drop_level)
    save_model(dropped, out)
    return {
        "name": dropped.spec.name,
        "strides": list(dropped.network.strides),
        "parameters_before": count_parameters(model),
        "parameters": count_parameters(dropped),
        "written": str(out),
    }


def count_parameters(model: "Model") -> int:
    """The numbers of a network that training changes."""
    return sum(parameter.numel() for parameter in model.network.parameters())
