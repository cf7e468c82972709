"""The search of `scantling scale`: options → budget → model, printed with its reasons."""

import json
from typing import TYPE_CHECKING

import typer

from ..errors import InvalidValue, lookup, printable
from .command import parse_image_size
from .options import check_out
from .output import CHECK_FAILED, WORKED, note
from .scale_options import ScaleOptions
from .tables import print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..datasets.dataset import Dataset
    from ..scaling.search import ScaledModel
    from ..scaling.search.budget import Budget

FRONT_ROWS = 12
BEYOND = 4  # times the limit, up to which the front is printed


def find(options: ScaleOptions) -> int:
    """Search, print, write; measure it too where that was asked for."""
    from ..scaling.search import describe_model, open_device, scale, to_record

    check_search(options)
    if options.out is not None:
        check_out(options.out, overwrite=options.overwrite, suffix=".json")
    scaled = scale(
        parse_budget(options),
        like=options.like,
        device=None if options.device_profile is None else open_device(options.device_profile),
        dataset=None if options.data is None else read_split(options.data, options.split),
        num_classes=options.num_classes,
        kinds=parse_kinds(options.kind),
    )
    write_files(scaled, options)
    record = {**to_record(scaled), "written": options.out and str(options.out)}
    if not options.json:
        notes = [] if scaled.advice is None else scaled.advice.describe(scaled.spec.image_size[0])
        for line in describe_model(scaled)[: -len(notes) or None]:
            typer.echo(printable(line))
        print_tables(scaled)
        for line in notes:  # last, where they are read
            typer.echo(printable(line))
        for path in (options.out, options.figure):
            if path is not None:
                typer.echo(f"Saved {printable(str(path))}")
    code = WORKED
    if options.verify:
        from ..scaling.search import verify_latency

        measured = verify_latency(scaled, cache=options.cache)
        record["measured"] = measured.to_record()
        code = WORKED if measured.passed else CHECK_FAILED
        if not options.json:
            typer.echo(printable(measured.describe()))
    if options.json:
        typer.echo(json.dumps(record))
    return code


def check_search(options: ScaleOptions) -> None:
    """Refuse what contradicts itself, before anything is read.

    Raises:
        InvalidValue: two options that cannot stand together, or one that lacks another.
    """
    if options.latency is not None and options.device_profile is None:
        raise InvalidValue(
            "--latency",
            options.latency,
            "--device-profile FILE beside it: how long a model takes depends on the device "
            "(scantling device measure --out box.json)",
        )
    if options.macs is not None and options.flops is not None:
        raise InvalidValue("flops", options.flops, "--macs or this, not both")
    if options.verify and options.device_profile is None:
        raise InvalidValue("verify", True, "--device-profile FILE beside it, to hold it against")
    if options.weights is not None or options.names is not None:
        raise InvalidValue("--set weights or names", "given", "a MODEL and --drop-level beside it")


def parse_budget(options: ScaleOptions) -> "Budget":
    """The budget in the options.

    Raises:
        InvalidValue: a number or its unit cannot be read, or nothing is limited.
    """
    from ..scaling.search.budget import (
        USUAL_IMAGE,
        Budget,
        parse_bytes,
        parse_count,
        parse_pixels,
        parse_seconds,
    )

    flops = parse_count(options.flops, option="flops")
    budget = Budget(
        latency=parse_seconds(options.latency, option="--latency"),
        memory=parse_bytes(options.memory, option="--memory"),
        parameters=parse_count(options.params, option="--params"),
        macs=parse_count(options.macs, option="--macs") if flops is None else flops / 2,
        min_object=parse_pixels(options.min_object, option="--min-object"),
        image=parse_image_size(options.camera_size, option="camera_size") or USUAL_IMAGE,
    )
    if not budget.limits.keys() - {"object"}:
        raise InvalidValue("The budget", "empty", "one of --latency, --memory, --params, --macs")
    return budget


def parse_kinds(text: str | None) -> tuple[str, ...] | None:
    """`tiny,csp` → ("tiny", "csp").

    Raises:
        UnknownName: there is no such kind.
    """
    if text is None:
        return None
    from ..scaling.search.candidates import KINDS

    return tuple(lookup(dict.fromkeys(KINDS, one), one, "kind") for one in text.split(","))


def read_split(data: str, split: str | None) -> "Dataset":
    """The split that a model is to be trained on."""
    from ..datasets.readers import describe_dataset, list_splits, read_dataset

    usual = "train" if "train" in list_splits(data) else None
    dataset = read_dataset(data, split=split or usual)
    note(describe_dataset(dataset))
    return dataset


def write_files(scaled: "ScaledModel", options: ScaleOptions) -> None:
    """The spec and the figure, where they were asked for."""
    from ..io import write_file
    from ..scaling.search import draw_pareto_front, write_scaled_model

    if options.out is not None:
        write_scaled_model(scaled, options.out)
    if options.figure is not None:
        if options.figure.suffix.lower() != ".png":
            raise InvalidValue("figure", str(options.figure), "a .png file to write")
        write_file(options.figure, draw_pareto_front([scaled.search]))


def print_tables(scaled: "ScaledModel") -> None:
    """The rejected neighbours, and the front."""
    from ..scaling.search import neighbour_table, pareto_columns, pareto_table
    from ..scaling.search.summary import NEIGHBOUR_COLUMNS

    print_rows(NEIGHBOUR_COLUMNS, neighbour_table(scaled.search))
    rows = pareto_table(scaled.search, most=FRONT_ROWS, beyond=BEYOND)
    limited = scaled.search.axis in scaled.search.budget.limits
    near = f" up to {BEYOND} times the limit" if limited else ""
    typer.echo(f"Pareto front{near}, {len(rows)} of {len(scaled.search.front)} models:")
    print_rows(pareto_columns(scaled.search), rows)


def print_rows(
    columns: "Sequence[str]", rows: "Sequence[Sequence[str | int | float | None]]"
) -> None:
    """A table for the terminal: the first column to the left, the others to the right."""
    print_table(columns, [[_show(cell) for cell in row] for row in rows])


def _show(cell: str | int | float | None) -> str:
    return f"{cell:.1f}" if isinstance(cell, float) else str(cell)
