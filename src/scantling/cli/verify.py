"""scantling verify FILE — is this file the model that it claims to be?"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import printable
from .exit_codes import CHECK_FAILED, WORKED
from .options import CacheOption, DeviceOption, JsonOption, NamesOption

if TYPE_CHECKING:
    from ..verification import Figure, Verification


@dataclass(frozen=True)
class VerifyOptions:
    """What `scantling verify` can be told."""

    file: Annotated[
        str, typer.Argument(metavar="FILE", help="An exported file, or a model of any kind.")
    ]
    against: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="What it should be; by default what it was made from."),
    ] = None
    weights: Annotated[
        Path | None, typer.Option(help="Weights of --against, where it needs them.")
    ] = None
    names: NamesOption = None
    data: Annotated[
        str | None, typer.Option(help="Labelled data: compare on its images, and compare the AP.")
    ] = None
    split: Annotated[str | None, typer.Option(help="Which part of the data.")] = None
    images: Annotated[
        list[str] | None,
        typer.Option(help="Image, folder or glob to compare on; may be repeated."),
    ] = None
    max_ap_drop: Annotated[float, typer.Option(help="How much AP it may lose, 0 to 1.")] = 0.005
    engine: Annotated[
        str, typer.Option(help="What runs it: auto, openvino, onnxruntime, torch or tensorrt.")
    ] = "auto"
    device: DeviceOption = "auto"
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first N images of the data, for the AP.")
    ] = None
    stages: Annotated[str, typer.Option(help="Which comparisons.")] = "tensors,boxes,ap"
    out: Annotated[
        Path | None, typer.Option(help="The report; verify.json beside the file by default.")
    ] = None
    json: JsonOption = False
    cache: CacheOption = None


def verify(options: VerifyOptions) -> int:
    """Compare a file with its model and name what is wrong; exit code 3 past a limit."""
    from ..verification import save_verification
    from ..verification import verify as run
    from .evaluation_text import image_bar

    with image_bar() as progress:
        verification = run(
            options.file,
            against=options.against,
            weights=options.weights,
            names=options.names,
            data=options.data,
            split=options.split,
            images=options.images or None,
            max_ap_drop=options.max_ap_drop,
            engine=options.engine,
            device=options.device,
            limit=options.limit,
            stages=tuple(stage.strip() for stage in options.stages.split(",")),
            cache=options.cache,
            progress=progress,
        )
    path = save_verification(verification, options.out)
    code = WORKED if verification.passed else CHECK_FAILED
    if options.json:
        record = verification.to_dict() | {"report": str(path), "exit_code": code}
        typer.echo(json.dumps(record))
        return code
    print_verification(verification)
    typer.echo(f"Saved in {printable(str(path))}")
    return code


def print_verification(verification: "Verification") -> None:
    """Every figure against its limit, then what is wrong."""
    typer.echo(printable(f"{verification.file} against {verification.against}"))
    for stage in verification.stages:
        word = "agree" if stage.passed else "DIFFER"
        typer.echo(f"{stage.name}: {word}, on {printable(stage.compared)}, {stage.seconds:.1f} s")
        for figure in stage.figures:
            typer.echo(f"  {describe_figure(figure)}")
    for fault in verification.faults:
        typer.echo(printable(f"FAULT {fault.name}: {fault.evidence}"))
    for remark in verification.notes:
        typer.echo(printable(f"note: {remark}"))
    typer.echo("It is the model." if verification.passed else "It is NOT the model.")


def describe_figure(figure: "Figure") -> str:
    """`boxes agree, drawn scenes      128.9 dB   at least 60`."""
    value = f"{figure.value:.4g}{'' if figure.unit == '%' else ' '}{figure.unit}".rstrip()
    line = f"{figure.name:<38} {value:>22}"
    if figure.limit is None:
        return line.rstrip()
    word = "at least" if figure.at_least else "at most"
    mark = "" if figure.holds else "   PAST THE LIMIT"
    return f"{line}   {word} {figure.limit:.4g}{mark}"
