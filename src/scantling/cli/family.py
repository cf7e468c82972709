"""scantling family — the models for several budgets or devices, from one recipe."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import InvalidValue, printable
from .command import Setting, option, parse_image_size
from .options import BUDGET, DATA_HELP, INPUT, RESULT, CameraSizeSetting, JsonOption, LikeOption
from .output import WORKED

if TYPE_CHECKING:
    from ..scaling.families import Family, MemberRequest


@dataclass(frozen=True)
class FamilyOptions:
    """The options of `scantling family`."""

    budgets: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE.yaml",
            help="Names, and below each its device, latency, memory, params, macs, flops or"
            " min-object.",
            show_default=False,
        ),
    ] = None
    budget: Annotated[
        list[str] | None,
        option(
            BUDGET,
            "A member, as board=device:box.json,latency:12ms; once for each.",
            metavar="NAME=KEY:VALUE,…",
        ),
    ] = None
    data: Annotated[
        str | None, option(INPUT, f"Labelled images, which give the anchors. {DATA_HELP}")
    ] = None
    like: LikeOption = "both"
    out: Annotated[Path, option(RESULT, "Folder for the specs and the page.", metavar="FOLDER")] = (
        Path("family")
    )
    json: JsonOption = False
    kind: Annotated[
        Literal["tiny", "csp", "plain", "osa", "mbconv", "mbconv-lite"] | None,
        Setting("Kind of network of all members; by default the one that ranks highest."),
    ] = None
    num_classes: Annotated[
        int | None, Setting("Classes of the models; those of --data, or 80, by default.", min=1)
    ] = None
    camera_size: CameraSizeSetting = None
    split: Annotated[str | None, Setting("Split of the data; train by default.")] = None


def family(options: FamilyOptions) -> int:
    """Find the models for several budgets at once, and show them side by side on a page."""
    from ..scaling.families import choose_family, write_family
    from ..scaling.search import to_record
    from .scale_search import read_split

    wanted = find_wanted(options)
    family = choose_family(
        wanted,
        like=options.like,
        recipe=options.kind,
        dataset=None if options.data is None else read_split(options.data, options.split),
        num_classes=options.num_classes,
    )
    page = write_family(family, options.out, data=options.data or "DATA")
    if options.json:
        members = [{"name": one.name, **to_record(one.scaled)} for one in family.members]
        record = {"recipe": family.recipe, "members": members, "page": str(page)}
        typer.echo(json.dumps(record))
        return WORKED
    print_family(family)
    typer.echo(f"Saved {printable(str(page))}")
    return WORKED


def find_wanted(options: FamilyOptions) -> "tuple[MemberRequest, ...]":
    """The members of the file and of the options.

    Raises:
        InvalidValue: there are none.
    """
    from ..scaling.families import parse_member, read_members
    from ..scaling.search.budget import USUAL_IMAGE

    image = parse_image_size(options.camera_size, option="camera_size") or USUAL_IMAGE
    read = () if options.budgets is None else read_members(options.budgets, image=image)
    told = tuple(parse_member(one, image=image) for one in options.budget or ())
    if not read and not told:
        raise InvalidValue(
            "--budget", None, "one for each member, as board=device:box.json,latency:12ms"
        )
    return (*read, *told)


def print_family(family: "Family") -> None:
    """The recipe, and the members side by side."""
    from ..scaling.families.page import describe_recipe, side_by_side
    from .scale_search import print_rows

    for line in describe_recipe(family).split("\n"):
        typer.echo(printable(line))
    table = side_by_side(family)
    print_rows(table.columns, [row for row in table.rows if row[0] != "network"])
