"""scantling analyze MODEL — what a model costs, layer by layer, and what to change."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..engines.hardware import MOST_IMAGES
from ..errors import InvalidValue, printable
from .command import Setting, option, parse_image_size
from .options import MODEL, RESULT, DeviceProfileOption, ImageSizeOption, JsonOption, WeightsOption
from .output import WORKED
from .tables import print_table

if TYPE_CHECKING:
    from ..scaling.analysis import Analysis, RuleFinding
    from ..scaling.costs import Roofline


@dataclass(frozen=True)
class AnalyzeOptions:
    """The options of `scantling analyze`."""

    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A name from `scantling list`, a .cfg (no weights needed), a checkpoint, "
            "an exported file, or a .json of a spec.",
        ),
    ]
    weights: WeightsOption = None
    image_size: ImageSizeOption = None
    batch_size: Annotated[
        int, option(MODEL, "Images that the network sees at once.", min=1, max=MOST_IMAGES)
    ] = 1
    precision: Annotated[
        Literal["fp32", "bf16", "fp16", "int8"],
        option(MODEL, "Number format of weights and maps; int8 counts one byte for each."),
    ] = "fp32"
    fused: Annotated[
        bool, option(MODEL, "Norms folded into convolutions, as engines run it.", "--fused")
    ] = False
    device_profile: DeviceProfileOption = None
    peak_macs: Annotated[
        float | None, Setting("In place of a profile: the most multiply-accumulates a second.")
    ] = None
    bandwidth: Annotated[
        float | None, Setting("Beside peak_macs: bytes a second to and from memory.")
    ] = None
    out: Annotated[
        Path | None, option(RESULT, "Folder for a page with figures, layers.csv and summary.json.")
    ] = None
    json: JsonOption = False
    layers: Annotated[bool, Setting("Print a row for each layer.")] = False


def analyze(options: AnalyzeOptions) -> int:
    """Count what a model costs, layer by layer, and hold the papers' rules of design against it."""
    from ..scaling.analysis import analyze as run, open_spec, save_analysis, summarise

    roofline = choose_roofline(options)
    analysis = run(
        open_spec(options.model, weights=options.weights),
        image_size=parse_image_size(options.image_size),
        batch=options.batch_size,
        precision=options.precision,
        fused=options.fused,
        roofline=roofline,
    )
    page = None if options.out is None else save_analysis(analysis, options.out)
    if options.json:
        typer.echo(
            json.dumps({**summarise(analysis), "report": None if page is None else str(page)})
        )
        return WORKED
    print_analysis(analysis, layers=options.layers)
    if page is not None:
        typer.echo(f"Saved {printable(str(page))}")
    return WORKED


def choose_roofline(options: AnalyzeOptions) -> "Roofline | None":
    """The roofline of the profile, or of the two numbers; None without either.

    Raises:
        InvalidValue: both were given, or one number without the other.
    """
    from ..scaling.costs import Roofline, read_roofline

    numbers = (options.peak_macs, options.bandwidth)
    if options.device_profile is not None:
        if numbers != (None, None):
            raise InvalidValue(
                "--device-profile", str(options.device_profile), "no peak_macs, no bandwidth"
            )
        return read_roofline(options.device_profile, precision=options.precision)
    if options.peak_macs is None and options.bandwidth is None:
        return None
    if options.peak_macs is None or options.bandwidth is None:
        raise InvalidValue("--set peak_macs and bandwidth", numbers, "both: 1e12 and 25e9")
    return Roofline(options.peak_macs, options.bandwidth)


def print_analysis(analysis: "Analysis", *, layers: bool) -> None:
    """Print the totals, a table of parts or layers, and the findings."""
    from ..scaling.analysis import describe, layer_table, part_table

    columns, rows = layer_table(analysis) if layers else part_table(analysis)
    typer.echo(printable(describe(analysis), keep="\n"))
    words = [
        name
        for place, name in enumerate(columns)
        if not all(isinstance(row[place], int | float) for row in rows)
    ]
    cells = [[show(cell) for cell in row] for row in rows]
    print_table(columns, cells, left=words, last_apart=True)
    for finding in analysis.findings:
        typer.echo(describe_finding(finding))


def show(cell: str | int | float | None) -> str:
    """A cell for people: thousands apart, three digits that count."""
    if isinstance(cell, float):
        return f"{cell:,.1f}" if abs(cell) >= 10 else f"{cell:.2f}"
    return f"{cell:,}" if isinstance(cell, int) else printable(str(cell or ""))


def describe_finding(finding: "RuleFinding") -> str:
    """A finding: what and where, then what to change and who says so."""
    change = f"{finding.change}. " if finding.change else ""
    lines = (
        f"{finding.rule}, {finding.where}: {finding.message}.",
        f"    {change}[{finding.source}]",
    )
    return "\n".join(map(printable, lines))
