"""scantling data check DATA — what is wrong with labelled images."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import InvalidValue, printable
from ..command import option, parse_image_size
from ..options import (
    INPUT,
    MODEL,
    RESULT,
    SPEED,
    CacheFolder,
    DataArgument,
    FormatSetting,
    ImageSizeOption,
    JsonOption,
)
from ..output import CHECK_FAILED, WORKED, progress_bar

if TYPE_CHECKING:
    from ...datasets.check import CheckResult, ModelLevels

SHOWN = 3  # findings of each code on the terminal
MOST_FINDINGS = 100_000  # in --json: of more, the counts tell enough


@dataclass(frozen=True)
class CheckOptions:
    """The options of `scantling data check`."""

    data: DataArgument
    split: Annotated[
        list[str] | None, option(INPUT, "A split to check; may be repeated. All by default.")
    ] = None
    model: Annotated[
        str | None,
        option(MODEL, "A name from `scantling list`: compare the objects with its levels."),
    ] = None
    image_size: ImageSizeOption = None
    fast: Annotated[
        bool, option(SPEED, "Decode no image: labels, sizes and classes only.", "--fast")
    ] = False
    strict: Annotated[bool, option(RESULT, "Fail on warnings too.", "--strict")] = False
    out: Annotated[Path | None, option(RESULT, "Folder for report.html with drawn examples.")] = (
        None
    )
    json: JsonOption = False
    format: FormatSetting = None
    cache: CacheFolder = None


def check(options: CheckOptions) -> int:
    """Look for damage, wrong labels, repetition and imbalance; exit code 3 if there are errors."""
    from ...datasets.check import check_dataset, render_report, to_record
    from ...io import default_cache
    from ...reports import save_page

    levels = find_levels(options)
    with progress_bar() as progress:
        task = progress.add_task("images", total=None)
        result = check_dataset(
            options.data,
            format=options.format,
            splits=options.split,
            levels=levels,
            fast=options.fast,
            cache=options.cache or default_cache(),
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    page = None if options.out is None else save_page(options.out, render_report(result))
    failed = bool(result.findings if options.strict else result.errors)
    code = CHECK_FAILED if failed else WORKED
    if options.json:
        record = to_record(result, most=MOST_FINDINGS)
        typer.echo(json.dumps(record | {"report": page and str(page), "exit_code": code}))
    else:
        for line in describe(result):
            typer.echo(printable(line))
        if page is not None:
            typer.echo(f"Saved {printable(str(page))}")
    return code


def find_levels(options: CheckOptions) -> "ModelLevels | None":
    """What the objects are held against, if a model is named.

    Raises:
        UnknownName: no model is called so.
        InvalidValue: an input size without a model.
        InvalidSpec: the model takes no input of that size.
    """
    from ...datasets.check import ModelLevels
    from ...specs import find_spec

    image_size = parse_image_size(options.image_size)
    if options.model is None:
        if image_size is not None:
            raise InvalidValue("--image-size", options.image_size, "--model beside it")
        return None
    spec = find_spec(options.model)
    if image_size is not None:
        spec = spec.replace(image_size=image_size)
    return ModelLevels(
        spec.name, spec.image_size, spec.strides, spec.head.anchors, spec.input.resize_mode
    )


def describe(result: "CheckResult") -> Iterator[str]:
    """The findings as lines for a terminal: each code with its advice and first places."""
    from ...datasets.check import summarise
    from ...datasets.findings import CODES, count_codes

    yield f"{result.source}: {result.format or 'format unknown'}"
    for dataset in result.datasets:
        yield (
            f"  {dataset.split}: {len(dataset):,} images, {len(dataset.objects):,} objects,"
            f" {len(dataset.names):,} classes"
        )
    for code, count in count_codes(result.findings).items():
        title, advice = CODES[code]
        yield ""
        yield f"{code} × {count:,}  {title}. {advice}"
        found = [finding for finding in result.findings if finding.code == code]
        for finding in found[:SHOWN]:
            yield f"    {str(finding).removeprefix(f'{code} ')}"
        if len(found) > SHOWN:
            yield f"    and {len(found) - SHOWN:,} more"
    yield ""
    for text in result.notes:
        yield f"Note: {text}."
    yield f"{summarise(result)}."
