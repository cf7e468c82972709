"""Write a family: a spec file for each member, and an HTML page that compares them."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

from ...errors import InvalidValue
from ...io import make_folder, write_file
from ...io.folders import Lock, temporary_folder
from ...reports import COLORS, Block, Details, Heading, Picture, Table, Text, render_page
from ..search import (
    describe_model,
    pareto_columns,
    pareto_table,
    summarise_spec,
    to_record,
    write_scaled_model,
)
from ..search.budget import show_value
from ..search.candidate_search import SearchResult, candidate_costs, find_pareto_front
from ..search.candidate_table import make_candidate_table
from ..search.pareto_front import draw_pareto_front
from ..search.summary import NEIGHBOUR_COLUMNS, neighbour_table
from .bar_charts import draw_bars
from .family import RECIPES, Family, Member

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
        CannotWrite, InUse: it cannot be written, or another process is writing there.
    """
    make_folder(folder)
    with Lock(folder / ".scantling-lock", folder), temporary_folder(folder / "family") as draft:
        for path in _write(family, folder, draft, data=data):
            path.rename(folder / path.name)
    return folder / PAGE


def _write(family: Family, folder: Path, draft: Path, *, data: str) -> list[Path]:
    """Write the files of a family into a temporary folder; the page is the last."""
    names = [f"{one.name}.json" for one in family.members]
    there = [name for name in (*names, PAGE, "family.json") if (folder / name).exists()]
    if there or "family.json" in names:
        raise InvalidValue("--out", str(folder), f"a folder without {(there or names)[0]}")
    for one, name in zip(family.members, names, strict=True):
        write_scaled_model(one.scaled, draft / name)
    record = [{"name": one.name, **to_record(one.scaled)} for one in family.members]
    files = {
        "family.json": json.dumps({"recipe": family.recipe, "members": record}, indent=1) + "\n",
        PAGE: render_family(family, data=data),
    }
    for name, text in files.items():
        write_file(draft / name, text)
    return [draft / name for name in (*names, *files)]


def render_family(family: Family, *, data: str = "DATA") -> str:
    """Render the HTML page: comparison table, bar charts, Pareto fronts, reasons, commands."""
    parts: list[Block] = [
        Text(describe_recipe(family)),
        side_by_side(family),
        Picture(
            draw_bars(family), "Each measure on its own scale, from 0; the accuracy proxy from 50."
        ),
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
The accuracy proxy ranks models by what the papers of both families found to matter: how much \
of the image every cell sees and how finely, then width and depth. It is no AP. Predictions are \
ranges: a model is within its budget when the upper end is. Latency is of one image, from pixels \
in memory to boxes and scores."""


def describe_recipe(family: Family) -> str:
    """Text on the chosen recipe, the others that were tried, and the accuracy proxy."""
    names = " and ".join(RECIPES[family.recipe])
    others = [
        f"{name} {'does not fit every budget' if mean is None else f'would have {mean:.1f}'}"
        for name, mean in family.passed_over.items()
    ]
    beside = f" ({'; '.join(others)})" if others else ""
    fit = family.members[0].scaled.proxy.describe()
    return (
        f"All of kind {family.recipe} (networks: {names}), so that they are trained alike; mean "
        f"accuracy proxy {family.mean_proxy:.1f}{beside}.\nThe accuracy proxy {fit}."
    )


def side_by_side(family: Family) -> Table:
    """Comparison table with a column for each member."""
    models = [one.scaled for one in family.members]
    costs = [scaled.search.costs for scaled in models]
    rows: list[list[str]] = [
        ["model", *(scaled.spec.name for scaled in models)],
        ["input", *("×".join(map(str, scaled.spec.image_size)) for scaled in models)],
        ["strides", *(", ".join(map(str, scaled.spec.strides)) for scaled in models)],
        ["accuracy proxy", *(f"{one.accuracy_proxy:.1f}" for one in costs)],
        *([label, *(_show(scaled.search, name) for scaled in models)] for label, name in _MEASURES),
        ["binding", *(scaled.search.binding or "none" for scaled in models)],
        ["device", *("–" if one.device is None else _device(one.device) for one in models)],
        ["network", *map(summarise_spec, models)],
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


def _show(result: SearchResult, name: str) -> str:
    """Format a cost with its error bar and its limit."""
    if name not in result.costs.values:
        return "–"
    text = show_value(name, result.costs.values[name])
    low, high = result.costs.bars.get(name, (0.0, 0.0))
    if high > low:
        text += f" ({show_value(name, low)} to {show_value(name, high)})"
    limit = result.budget.limits.get(name)
    return text if limit is None else f"{text}, of {show_value(name, limit)}"


def _fronts(family: Family) -> list[Block]:
    """Pareto fronts: one over MACs with all members, and one over latency for each device."""
    first = family.members[0].scaled.search
    table = make_candidate_table(
        image=first.budget.image,
        num_classes=family.members[0].scaled.spec.num_classes,
        kinds=RECIPES[family.recipe],
    )
    front = tuple(candidate_costs(table, row) for row in find_pareto_front(table, "MACs"))
    results = [replace(one.scaled.search, axis="MACs", front=front) for one in family.members]
    names = [one.name for one in family.members]
    parts: list[Block] = [
        Picture(
            draw_pareto_front(results, names), "All members among the candidates of their kind."
        )
    ]
    devices = [one.scaled.device for one in family.members]
    for device in dict.fromkeys(one for one in devices if one is not None):
        own = [place for place, other in enumerate(devices) if other is device]
        figure = draw_pareto_front(
            [family.members[place].scaled.search for place in own],
            [names[place] for place in own],
            colors=[COLORS[place % 6] for place in own],
        )
        parts.append(Picture(figure, f"{device.description}. Dashed: the limits."))
    return parts


def _reasons(one: Member) -> list[Block]:
    result = one.scaled.search
    rows = [[cell if cell is not None else "" for cell in row] for row in neighbour_table(result)]
    return [
        Text(
            "\n".join(
                line
                for line in describe_model(one.scaled)
                if not line.startswith(("device", "accuracy proxy"))
            )
        ),
        Details(
            "The nearest better ones with what refused each, the next best, and the front",
            [
                Table(NEIGHBOUR_COLUMNS, rows, places=1),
                Table(
                    pareto_columns(result),
                    pareto_table(result, most=_FRONT_ROWS),
                    "Front",
                    places=1,
                ),
            ],
        ),
    ]


def _commands(family: Family, data: str) -> str:
    """Commands that train and export each member."""
    lines = []
    for one in family.members:
        device = one.scaled.device
        target = "onnx" if device is None else _FORMATS.get(device.profile.engine, "onnx")
        name = one.name
        lines += [
            f"# {name}",
            f"scantling train {name}.json --data {shlex.quote(data)} --out runs/{name}",
            *([f"scantling export runs/{name}/best.safetensors --to {target}"] if target else []),
            "",
        ]
    return "\n".join(lines).rstrip()
