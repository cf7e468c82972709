"""scantling family — the models for several budgets or devices, from one recipe."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import InvalidValue, printable
from .exit_codes import WORKED
from .options import JsonOption
from .values import parse_image_size

if TYPE_CHECKING:
    from ..scaling.families import Family, MemberRequest


@dataclass(frozen=True)
class FamilyOptions:
    """What `scantling family` can be told."""

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
        typer.Option(
            metavar="NAME=KEY:VALUE,…",
            help="A member, as board=device:box.json,latency:12ms; once for each.",
        ),
    ] = None
    like: Annotated[
        Literal["yolov4", "efficientdet", "both"],
        typer.Option(help="The family whose models are searched."),
    ] = "both"
    recipe: Annotated[
        Literal["tiny", "csp", "plain", "osa", "mbconv", "mbconv-lite"] | None,
        typer.Option(
            help="That all members are of; by default the one with the highest accuracy proxy."
        ),
    ] = None
    image: Annotated[
        str | None,
        typer.Option(metavar="HxW", help="The camera's images; 480x640 by default, as COCO's."),
    ] = None
    data: Annotated[str | None, typer.Option(help="Labelled images, which give the anchors.")] = (
        None
    )
    split: Annotated[str | None, typer.Option(help="Of --data; train by default.")] = None
    classes: Annotated[
        int | None, typer.Option(min=1, help="Of the models; those of --data, or 80, by default.")
    ] = None
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where specs and page go.")] = Path(
        "family"
    )
    json: JsonOption = False


def family(options: FamilyOptions) -> int:
    """Find the models for several budgets at once, and show them side by side on a page."""
    from ..scaling.families import choose_family, write_family
    from ..scaling.search import to_record
    from .scale_search import read_split

    wanted = find_wanted(options)
    family = choose_family(
        wanted,
        like=options.like,
        recipe=options.recipe,
        dataset=None if options.data is None else read_split(options.data, options.split),
        num_classes=options.classes,
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

    image = parse_image_size(options.image, option="--image") or USUAL_IMAGE
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
    from .scale_search import print_table

    for line in describe_recipe(family).split("\n"):
        typer.echo(printable(line))
    table = side_by_side(family)
    print_table(table.columns, [row for row in table.rows if row[0] != "network"])
