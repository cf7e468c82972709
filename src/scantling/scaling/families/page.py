"""A family as files: a spec for each member, and a page that shows them side by side."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

from ...errors import InvalidValue
from ...io import write_file
from ...reports import COLORS, Details, Heading, Part, Picture, Table, Text, render_page
from ..search import describe_fit, front_columns, front_table, summarise_spec, to_record, write_fit
from ..search.budget import show_value
from ..search.figures import draw_front
from ..search.report import NEIGHBOUR_COLUMNS, neighbour_table
from ..search.run import make_rows
from ..search.search import Fit, costs_of, find_front
from .choice import RECIPES, Family, Member
from .figures import draw_bars

PAGE = "family.html"
_FRONT_ROWS = 16
# The export format for each engine of a device profile; torch runs the checkpoint itself.
_FORMATS = {"openvino": "openvino", "onnxruntime": "onnx", "torch": None}


def write_family(family: Family, folder: Path, *, data: str = "DATA") -> Path:
    """Write the members, `NAME.json` each, the page and `family.json` into a folder.

    Args:
        family: see `choose_family`.
        folder: is made; must not hold a file of these names.
        data: what the commands on the page call the data set.

    Returns:
        The path of the page.

    Raises:
        InvalidValue: one of the files exists.
    """
    names = [f"{one.name}.json" for one in family.members]
    there = [name for name in (*names, PAGE, "family.json") if (folder / name).exists()]
    if there or "family.json" in names:
        raise InvalidValue("--out", str(folder), f"a folder without {(there or names)[0]}")
    folder.mkdir(parents=True, exist_ok=True)
    for one, name in zip(family.members, names, strict=True):
        write_fit(one.found, folder / name)
    record = [{"name": one.name, **to_record(one.found)} for one in family.members]
    files = {
        "family.json": json.dumps({"recipe": family.recipe, "members": record}, indent=1) + "\n",
        PAGE: render_family(family, data=data),
    }
    for name, text in files.items():
        write_file(folder / name, text, overwrite=False)
    return folder / PAGE


def render_family(family: Family, *, data: str = "DATA") -> str:
    """The page: a table, bars, fronts, reasons and commands."""
    parts: list[Part] = [
        Text(describe_recipe(family)),
        side_by_side(family),
        Picture(draw_bars(family), "Each measure on its own scale, from 0; capacity from 50."),
        Heading("On the front"),
        *_fronts(family),
        Heading("Why these"),
    ]
    for one in family.members:
        parts += [Heading(one.name, 3), *_reasons(one)]
    parts += [Heading("Train and export"), Text(_commands(family, data), "code")]
    parts.append(Text(_READING, "note"))
    count = len(family.members)
    return render_page(f"A family of {count} model{'s' if count > 1 else ''}", parts)


_READING = """\
Capacity ranks models by what the papers of both families found to matter: how much of the image \
every cell sees and how finely, then width and depth. It is no AP. Predictions are ranges: a model \
is within its budget when the upper end is. Latency is of one image, from pixels in memory to \
boxes and scores."""


def describe_recipe(family: Family) -> str:
    """Which recipe it is and which were passed over, with the criterion."""
    names = " and ".join(RECIPES[family.recipe])
    others = [
        f"{name} {'does not fit every budget' if mean is None else f'would have {mean:.1f}'}"
        for name, mean in family.passed_over.items()
    ]
    beside = f" ({'; '.join(others)})" if others else ""
    criterion = family.members[0].found.criterion.describe()
    return (
        f"All of recipe {family.recipe} (kinds: {names}), so that they are trained alike; mean "
        f"capacity {family.capacity:.1f}{beside}.\nCapacity {criterion}."
    )


def side_by_side(family: Family) -> Table:
    """A column for each member."""
    founds = [one.found for one in family.members]
    costs = [found.fit.costs for found in founds]
    rows: list[list[str]] = [
        ["model", *(found.spec.name for found in founds)],
        ["input", *("×".join(map(str, found.spec.image_size)) for found in founds)],
        ["strides", *(", ".join(map(str, found.spec.strides)) for found in founds)],
        ["capacity", *(f"{one.capacity:.1f}" for one in costs)],
        *([label, *(_show(found.fit, name) for found in founds)] for label, name in _MEASURES),
        ["binding", *(found.fit.binding or "none" for found in founds)],
        ["device", *("–" if one.device is None else _device(one.device) for one in founds)],
        ["network", *map(summarise_spec, founds)],
    ]
    caption = "Network: the kind of each stage, × its blocks, : its channels."
    return Table(("", *(one.name for one in family.members)), rows, caption)


_MEASURES = (
    ("latency", "latency"),
    ("memory", "memory"),
    ("params", "parameters"),
    ("MACs", "MACs"),
    ("smallest object", "object"),
)


def _device(device: object) -> str:
    profile = getattr(device, "profile", None)
    if profile is None:
        return "–"
    return f"{profile.processor}, {profile.engine}, {profile.precision}, {profile.threads} threads"


def _show(fit: Fit, name: str) -> str:
    """A cost with its error bar and its limit."""
    if name not in fit.costs.values:
        return "–"
    text = show_value(name, fit.costs.values[name])
    low, high = fit.costs.bars.get(name, (0.0, 0.0))
    if high > low:
        text += f" ({show_value(name, low)} to {show_value(name, high)})"
    limit = fit.budget.limits.get(name)
    return text if limit is None else f"{text}, of {show_value(name, limit)}"


def _fronts(family: Family) -> list[Part]:
    """A figure of all members over MACs, and one for each device over latency."""
    first = family.members[0].found.fit
    field = make_rows(
        first.budget.image,
        like="both",
        device=None,
        num_classes=family.members[0].found.spec.num_classes,
        kinds=RECIPES[family.recipe],
    )
    front = tuple(costs_of(field, row) for row in find_front(field, "MACs"))
    fits = [replace(one.found.fit, axis="MACs", front=front) for one in family.members]
    names = [one.name for one in family.members]
    parts: list[Part] = [
        Picture(draw_front(fits, names), "All members among the candidates of the recipe.")
    ]
    found = [one.found.device for one in family.members]
    for device in dict.fromkeys(one for one in found if one is not None):
        own = [place for place, other in enumerate(found) if other is device]
        figure = draw_front(
            [family.members[place].found.fit for place in own],
            [names[place] for place in own],
            colors=[COLORS[place % 6] for place in own],
        )
        parts.append(Picture(figure, f"{device.description}. Dashed: the limits."))
    return parts


def _reasons(one: Member) -> list[Part]:
    fit = one.found.fit
    rows = [[cell if cell is not None else "" for cell in row] for row in neighbour_table(fit)]
    return [
        Text(
            "\n".join(
                line
                for line in describe_fit(one.found)
                if not line.startswith(("device", "capacity"))
            )
        ),
        Details(
            "The nearest better ones with what refused each, the next best, and the front",
            [
                Table(NEIGHBOUR_COLUMNS, rows, places=1),
                Table(front_columns(fit), front_table(fit, most=_FRONT_ROWS), "Front", places=1),
            ],
        ),
    ]


def _commands(family: Family, data: str) -> str:
    """What trains and exports each member."""
    lines = []
    for one in family.members:
        device = one.found.device
        target = "onnx" if device is None else _FORMATS.get(device.profile.engine, "onnx")
        name = one.name
        lines += [
            f"# {name}",
            f"scantling train {name}.json --data {shlex.quote(data)} --out runs/{name}",
            *([f"scantling export runs/{name}/best.safetensors --to {target}"] if target else []),
            "",
        ]
    return "\n".join(lines).rstrip()
