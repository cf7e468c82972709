"""scantling data stats DATA — what a data set is made up of."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import printable
from ..command import option, parse_image_size
from ..options import INPUT, MODEL, RESULT, SIZE, DataArgument, FormatSetting, JsonOption
from ..output import WORKED

if TYPE_CHECKING:
    from ...datasets.statistics import SizeShares, Statistics

SHOWN_SIZES = 5


@dataclass(frozen=True)
class StatsOptions:
    """The options of `scantling data stats`."""

    data: DataArgument
    split: Annotated[
        list[str] | None, option(INPUT, "A split to count; may be repeated. All by default.")
    ] = None
    image_size: Annotated[
        str | None,
        option(MODEL, "Size of a network's input: how large objects are on it.", metavar=SIZE),
    ] = None
    out: Annotated[Path | None, option(RESULT, "PNG of charts to write.", metavar="FILE")] = None
    json: JsonOption = False
    format: FormatSetting = None


def stats(options: StatsOptions) -> int:
    """Count classes, objects in an image, and how large objects and images are."""
    from ...datasets.readers import list_splits, read_dataset
    from ...datasets.statistics import dataset_statistics

    image_size = parse_image_size(options.image_size)
    splits = options.split or list_splits(options.data, format=options.format)
    found = [
        dataset_statistics(
            read_dataset(options.data, split=split, format=options.format), image_size=image_size
        )
        for split in splits
    ]
    if options.out is not None:
        from ...datasets.statistics_figure import draw_statistics
        from ...io import write_file

        write_file(options.out, draw_statistics(found))
    if options.json:
        typer.echo(json.dumps({"splits": [describe(one) for one in found]}))
        return WORKED
    for one in found:
        _print(one)
    if options.out is not None:
        typer.echo(f"Saved in {printable(str(options.out))}")
    return WORKED


def describe(one: "Statistics") -> dict[str, Any]:
    """The statistics of a split as plain values for JSON; columns as percentiles."""
    from ...datasets.statistics import PERCENTILES

    facts = asdict(one)
    facts["percentiles"] = list(PERCENTILES)
    for column in ("sides", "aspects", "input_sides"):
        facts[column] = list(one.percentiles(getattr(one, column)))
    return facts


def _print(one: "Statistics") -> None:
    typer.echo(
        f"{printable(one.split)}: {one.images:,} images ({one.empty_images:,} without objects),"
        f" {one.objects:,} objects ({one.crowd:,} crowd, {one.difficult:,} difficult)"
    )
    wide = max((len(printable(found.name)) for found in one.classes), default=5)
    typer.echo(f"  {'class':<{wide}} {'objects':>10} {'share':>7} {'images':>10}")
    for found in sorted(one.classes, key=lambda found: -found.objects):
        share = found.objects / max(1, one.objects)
        typer.echo(
            f"  {printable(found.name):<{wide}} {found.objects:>10,} {share:>7.1%}"
            f" {found.images:>10,}"
        )
    counts = one.objects_per_image
    if one.images:
        typer.echo(
            f"  objects in an image: {one.objects / one.images:.1f}, at most {len(counts) - 1}"
        )
    sizes = [f"{width}×{height} ({count:,})" for (height, width), count in one.image_sizes]
    more = f" and {len(sizes) - SHOWN_SIZES} others" if len(sizes) > SHOWN_SIZES else ""
    typer.echo(f"  image sizes, width × height: {', '.join(sizes[:SHOWN_SIZES])}{more}")
    _print_sizes("in the image", one, one.sides, one.size_shares)
    if one.image_size is not None and one.input_shares is not None:
        height, width = one.image_size
        _print_sizes(f"on an input of {height}×{width}", one, one.input_sides, one.input_shares)


def _print_sizes(where: str, one: "Statistics", sides: Any, shares: "SizeShares") -> None:
    if not len(sides):
        return
    least, _, _, middle, _, _, most = one.percentiles(sides)
    typer.echo(
        f"  square root of the area {where}: {least:.0f} to {most:.0f}, half below {middle:.0f};"
        f" small {shares.small:.1%}, medium {shares.medium:.1%}, large {shares.large:.1%}"
    )
