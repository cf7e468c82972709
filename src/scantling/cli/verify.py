"""scantling verify FILE — is this file the model that it claims to be?"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..engines.runtimes import check_engine
from ..errors import printable
from .command import Setting, option
from .options import (
    DATA_HELP,
    ENGINE_NAMES,
    INPUT,
    MODEL,
    NAMES_HELP,
    RESULT,
    SPEED,
    ApLimitOption,
    CacheFolder,
    DeviceOption,
    JsonOption,
)
from .output import CHECK_FAILED, WORKED, image_bar

if TYPE_CHECKING:
    from ..verification import Figure, Verification


@dataclass(frozen=True)
class VerifyOptions:
    """The options of `scantling verify`."""

    file: Annotated[
        str, typer.Argument(metavar="FILE", help="An exported file, or a model of any kind.")
    ]
    against: Annotated[
        str | None,
        option(
            MODEL, "The model it should be; by default the one it was made from.", metavar="MODEL"
        ),
    ] = None
    data: Annotated[
        str | None,
        option(INPUT, f"Labelled data: compare on its images, and compare the AP. {DATA_HELP}"),
    ] = None
    images: Annotated[
        list[str] | None,
        option(
            INPUT,
            "Image, folder or glob to compare on; may be repeated. Drawn scenes by default.",
            metavar="PATH",
        ),
    ] = None
    limit: ApLimitOption = None
    max_ap_drop: Annotated[
        float | None,
        option(
            RESULT, "The most AP it may lose; by default 0.01 of int8, 0.003 of bf16, else 0.005."
        ),
    ] = None
    out: Annotated[
        Path | None, option(RESULT, "Report to write; verify.json beside the file by default.")
    ] = None
    json: JsonOption = False
    device: DeviceOption = "auto"
    engine: Annotated[
        str,
        option(
            SPEED,
            f"What runs the file: {ENGINE_NAMES}, or auto for what it was made for.",
            rare=True,
            metavar="NAME",
            callback=check_engine,
        ),
    ] = "auto"
    weights: Annotated[Path | None, Setting("Weights of --against, where it needs them.")] = None
    names: Annotated[Path | None, Setting(NAMES_HELP)] = None
    split: Annotated[
        str | None, Setting("Split of the data; the one for evaluation by default.")
    ] = None
    stages: Annotated[str, Setting("Comparisons to make.")] = "tensors,boxes,ap"
    cache: CacheFolder = None


def verify(options: VerifyOptions) -> int:
    """Compare a file with its model and name what is wrong; exit code 3 past a limit."""
    from ..verification import save_verification, verify as run

    with image_bar("evaluate") as progress:
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
    typer.echo(printable(verification.describe()))


def describe_figure(figure: "Figure") -> str:
    """`boxes agree, drawn scenes      128.9 dB   at least 60`."""
    line = f"{figure.name:<38} {figure.shown:>22}   {figure.shown_limit}".rstrip()
    if figure.usual is not None:
        line += f", widened from {figure.usual:.4g} by what rounding costs this model"
    return line if figure.holds else f"{line}   PAST THE LIMIT"
