"""An analysis as table rows, as JSON values and as CSV."""

import csv
import io
from dataclasses import asdict
from typing import Any

from ...reports.csv_cells import as_cell
from ..costs import LayerCost, PartCost
from .analysis import Analysis

Row = tuple[str | int | float | None, ...]

PART_COLUMNS = (
    *("part", "what", "output", "parameters", "MMACs", "access M", "CIO M"),
    *("MB moved", "MACs/byte", "live MB", "field"),
)
LAYER_COLUMNS = (
    *("layer", "kind", "output", "parameters", "MMACs", "access M", "CIO M"),
    *("MB moved", "MACs/byte", "live MB", "field"),
)
ROOF_COLUMNS = ("bound", "least ms")


def part_table(analysis: Analysis) -> tuple[tuple[str, ...], list[Row]]:
    """Column names, and a row for each part; the last row is of the whole network."""
    columns = PART_COLUMNS + (ROOF_COLUMNS if analysis.roofline else ())
    rows = [
        (part.name, part.about, show_shape(part.shape), *_figures(analysis, part))
        for part in analysis.cost.parts
    ]
    return columns, [*rows, ("total", "", "", *_figures(analysis, None))]


def layer_table(analysis: Analysis) -> tuple[tuple[str, ...], list[Row]]:
    """Column names, and a row for each layer."""
    columns = LAYER_COLUMNS + (ROOF_COLUMNS if analysis.roofline else ())
    return columns, [
        (
            layer.name,
            describe_kind(layer),
            show_shape(layer.shape),
            layer.parameters,
            layer.macs / 1e6,
            layer.access / 1e6,
            layer.cio / 1e6,
            layer.moved_bytes / 1e6,
            layer.intensity,
            layer.live_bytes / 1e6,
            show_field(layer.receptive_field, sees_all=layer.sees_all),
            *(
                (analysis.roofline.bound(layer), analysis.roofline.seconds(layer) * 1e3)
                if analysis.roofline
                else ()
            ),
        )
        for layer in analysis.cost.layers
    ]


def describe_kind(layer: LayerCost) -> str:
    """Kind of a layer: a convolution with its kernel, or torch's name of the operation."""
    if layer.kernel is None:
        return layer.kind if layer.kind != "other" else layer.operation
    sides = "×".join(map(str, layer.kernel))
    groups = f", {layer.groups} groups" if layer.kind == "grouped" else ""
    steps = max(layer.kernel_stride or (1, 1))
    stride = f", stride {steps}" if steps > 1 else ""
    return f"{layer.kind} {sides}{groups}{stride}"


def show_shape(shape: tuple[int, ...]) -> str:
    """Shape as channels × height × width, without the batch."""
    return "×".join(map(str, shape[1:]))


def show_field(field: tuple[int, int] | None, *, sees_all: bool = False) -> str:
    """Receptive field as text; with + where global pooling or attention adds the whole image."""
    if field is None:
        return "image"
    size = str(field[0]) if field[0] == field[1] else f"{field[0]}×{field[1]}"
    return f"{size}+" if sees_all else size


def summarise(analysis: Analysis) -> dict[str, Any]:
    """The analysis as plain values for JSON, in bytes, values and seconds."""
    cost, roofline = analysis.cost, analysis.roofline
    return {
        "model": cost.name,
        "image_size": list(cost.image_size),
        "batch": cost.batch,
        "precision": cost.precision,
        "fused": cost.fused,
        "parameters": cost.parameters,
        "peak_activation_bytes": cost.peak_bytes,
        **_values(asdict(cost.totals), cost.totals),
        "weight_bytes": cost.weight_bytes,
        "weight_bytes_read": cost.totals.weight_bytes,
        "device": None if roofline is None else {**asdict(roofline), "ridge": roofline.ridge},
        "least_seconds": analysis.seconds(),
        "parts": [_part(analysis, part) for part in cost.parts],
        "layers": [_layer(analysis, layer) for layer in cost.layers],
        "findings": [asdict(finding) for finding in analysis.findings],
    }


def to_csv(analysis: Analysis) -> str:
    """CSV with one line for each layer; the columns are those of `summarise`."""
    rows = [_layer(analysis, layer) for layer in analysis.cost.layers]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return out.getvalue()


def _figures(analysis: Analysis, part: PartCost | None) -> Row:
    """Numbers of one part or of the whole network."""
    cost = analysis.cost
    totals = cost.totals if part is None else part.totals
    live = cost.peak_bytes if part is None else totals.live_bytes
    fields = [one for one in (part.layers if part else cost.layers) if one.receptive_field]
    last = max(fields, key=lambda one: one.receptive_field or (0, 0), default=None)
    figures: Row = (
        cost.parameters if part is None else totals.parameters,
        totals.macs / 1e6,
        totals.access / 1e6,
        totals.cio / 1e6,
        totals.moved_bytes / 1e6,
        totals.intensity,
        live / 1e6,
        "image" if last is None else show_field(last.receptive_field, sees_all=last.sees_all),
    )
    if analysis.roofline is None:
        return figures
    return (*figures, analysis.roofline.bound(totals), (analysis.seconds(part) or 0.0) * 1e3)


def _part(analysis: Analysis, part: PartCost) -> dict[str, Any]:
    return {
        "name": part.name,
        "about": part.about,
        "group": part.group,
        "shape": list(part.shape),
        "receptive_field": part.receptive_field,
        **_values(asdict(part.totals), part.totals),
        "least_seconds": analysis.seconds(part),
    }


def _layer(analysis: Analysis, layer: LayerCost) -> dict[str, Any]:
    roofline = analysis.roofline
    return {
        **_values(asdict(layer), layer),
        "bound": None if roofline is None else roofline.bound(layer),
        "least_seconds": None if roofline is None else roofline.seconds(layer),
    }


def _values(fields: dict[str, Any], cost: Any) -> dict[str, Any]:
    return {**fields, "moved_bytes": cost.moved_bytes, "intensity": cost.intensity}


def _cell(value: object) -> object:
    """A value of a CSV: shapes as 1x32x608x608, several of them apart by a space."""
    if isinstance(value, tuple):
        nested = any(isinstance(one, tuple) for one in value)
        return (" " if nested else "x").join(str(_cell(one)) for one in value)
    return "" if value is None else as_cell(value)
