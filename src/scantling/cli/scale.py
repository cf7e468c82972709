"""scantling scale — the model that fits a budget; or a smaller one out of a trained one."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..errors import InvalidValue, printable
from .exit_codes import WORKED
from .options import MODEL_HELP, CacheOption, JsonOption, NamesOption, WeightsOption
from .values import check_out

if TYPE_CHECKING:
    from ..checkpoints import Model


@dataclass(frozen=True)
class ScaleOptions:
    """What `scantling scale` can be told."""

    model: Annotated[
        str | None,
        typer.Argument(help=f"With --drop-level. {MODEL_HELP}", show_default=False),
    ] = None
    like: Annotated[
        Literal["yolov4", "efficientdet", "both"],
        typer.Option(help="The family whose models are searched."),
    ] = "both"
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="A,B", help="Only tiny, csp, plain, osa, large, mbconv or mbconv-lite."
        ),
    ] = None
    device: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Profile of the device: scantling device measure."),
    ] = None
    latency: Annotated[
        str | None,
        typer.Option(metavar="12ms", help="Of an image at most, network alone; needs --device."),
    ] = None
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="200MB",
            help="Of weights and activations at most; with --device as its engine keeps them.",
        ),
    ] = None
    params: Annotated[str | None, typer.Option(metavar="5M", help="Parameters at most.")] = None
    macs: Annotated[
        str | None, typer.Option(metavar="5G", help="Multiply-accumulates of an image at most.")
    ] = None
    flops: Annotated[
        str | None, typer.Option(metavar="10G", help="The same, two for each of them.")
    ] = None
    min_object: Annotated[
        str | None,
        typer.Option(metavar="20px", help="Smallest object to be seen, in pixels of the camera."),
    ] = None
    image: Annotated[
        str | None,
        typer.Option(
            metavar="HxW",
            help="The camera's images; by default those of --data, or 480x640 as COCO's.",
        ),
    ] = None
    data: Annotated[
        str | None,
        typer.Option(help="Labelled images: advise size and levels, and give the anchors."),
    ] = None
    split: Annotated[str | None, typer.Option(help="Of --data; train by default.")] = None
    classes: Annotated[
        int | None, typer.Option(min=1, help="Of the model; those of --data, or 80, by default.")
    ] = None
    verify: Annotated[
        bool, typer.Option("--verify", help="Build the choice and measure it on this machine.")
    ] = False
    figure: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the Pareto front here, as PNG.")
    ] = None
    drop_level: Annotated[
        int,
        typer.Option(
            "--drop-level",
            count=True,
            help="Take the coarsest level off a trained model; once more for each further one. The"
            " others say exactly what they said, and nothing has to be trained.",
        ),
    ] = 0
    out: Annotated[
        Path | None,
        typer.Option(
            help="What to write: a .json that every command takes as a model; with --drop-level a"
            " .safetensors.",
            show_default=False,
        ),
    ] = None
    weights: WeightsOption = None
    names: NamesOption = None
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = (
        False
    )
    cache: CacheOption = None
    json: JsonOption = False


def scale(options: ScaleOptions) -> int:
    """Find the model that fits a budget, with the reasons.

    With a MODEL and --drop-level: make a smaller model out of a trained one, without training it.
    """
    if options.model is None and not options.drop_level:
        from .scale_search import find

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
    from .messages import download_bar

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
