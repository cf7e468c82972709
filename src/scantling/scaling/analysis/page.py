"""Write an analysis: an HTML page, its figures, CSV and JSON."""

import json
from pathlib import Path

from ...reports import Block, Details, Heading, Picture, Table, Text, render_page, save_page
from .analysis import Analysis
from .figures import draw_figures
from .tables import Row, layer_table, part_table, summarise, to_csv

_CAPTIONS = {
    "roofline": "Each dot is a layer that computes, on the roofline of the device; its area is its "
    "share of the time. Left of the ridge memory limits it, right of it computing.",
    "parts": "Shares of the parts.",
    "memory": "Activations that exist at once in eager torch, which frees a map with its last "
    "reader. Weights come on top.",
}
_READING = """\
MACs: multiply-accumulates of convolutions and matrix products. Access: memory access cost in \
values, hw(C_in + C_out) + K·C_in·C_out / groups (ShuffleNet V2). CIO: C_in·hw + C_out·hw of \
convolutions (HarDNet). MB moved: weights and maps, each read or written once, in the precision \
above. Live: activations that exist at once. Field: receptive field in pixels of the image; + \
where squeeze-and-excitation or attention adds the whole image."""


# Columns that fit beside each other on a page.
_SIZE = ("part", "what", "output", "field", "parameters", "MMACs", "live MB")
_TRAFFIC = ("part", "access M", "CIO M", "MB moved", "MACs/byte", "bound", "least ms")
_LAYER = ("layer", "kind", "output", "field", "MMACs", "MB moved", "MACs/byte", "live MB")


def describe(analysis: Analysis) -> str:
    """Model name and totals, as text."""
    cost = analysis.cost
    fused = ", norms folded" if cost.fused else ""
    lines = (
        f"{cost.name} at {'×'.join(map(str, cost.image_size))}, batch {cost.batch}, "
        f"{cost.precision}{fused}: {cost.parameters:,} parameters, "
        f"{cost.totals.macs / 1e9:.2f} GMACs, {cost.totals.moved_bytes / 1e6:,.0f} MB moved, "
        f"{cost.totals.intensity:.1f} MACs a byte",
        f"memory: {cost.weight_bytes / 1e6:.1f} MB weights, {cost.peak_bytes / 1e6:.1f} MB "
        "activations at the peak",
        *describe_roofline(analysis),
    )
    return "\n".join(lines)


def describe_roofline(analysis: Analysis) -> list[str]:
    """Bounds of the whole network from the roofline, as lines; none without a roofline."""
    roofline, cost = analysis.roofline, analysis.cost
    if roofline is None:
        return []
    seconds = analysis.seconds() or 0.0
    waiting = sum(roofline.seconds(one) for one in cost.layers if roofline.bound(one) == "memory")
    return [
        f"device {roofline.name or 'as given'}: {roofline.macs_per_second:.3g} MACs/s, "
        f"{roofline.bytes_per_second:.3g} bytes/s, ridge {roofline.ridge:.3g} MACs a byte",
        f"at least {seconds * 1e3:.3g} ms a batch, {waiting / seconds:.0%} of it in layers that "
        "wait for memory",
    ]


def render_analysis(analysis: Analysis, figures: dict[str, bytes]) -> str:
    """Render the analysis as one HTML page."""
    columns, rows = part_table(analysis)
    advice = [one for one in analysis.findings if one.kind == "advice"]
    facts = [one for one in analysis.findings if one.kind == "fact"]
    parts: list[Block] = [
        Text(describe(analysis)),
        *[Picture(data, _CAPTIONS[name]) for name, data in figures.items()],
        Heading("Parts"),
        choose_columns(columns, rows, _SIZE),
        choose_columns(columns, rows, _TRAFFIC),
        Text(_READING, "note"),
        Heading("Findings"),
        Table(
            ("where", "finding", "what to change", "source"),
            [(one.where, f"{one.rule}: {one.message}", one.change, one.source) for one in advice],
            "Advice, what is at stake the most first." if advice else "No advice.",
        ),
        Table(
            ("where", "finding", "source"),
            [(one.where, f"{one.rule}: {one.message}", one.source) for one in facts],
            "Facts.",
        ),
        Heading("Layers"),
        Details(
            f"All {len(analysis.cost.layers)} layers; layers.csv has more columns",
            [choose_columns(*layer_table(analysis), _LAYER)],
        ),
    ]
    return render_page(f"What {analysis.cost.name} costs", parts)


def choose_columns(
    columns: tuple[str, ...], rows: list[Row], names: tuple[str, ...], *, places: int = 2
) -> Table:
    """Table with the named columns; names that do not exist are left out."""
    chosen = [columns.index(name) for name in names if name in columns]
    cells = [tuple(row[place] for place in chosen) for row in rows]
    return Table(tuple(columns[place] for place in chosen), cells, places=places)


def save_analysis(analysis: Analysis, folder: Path) -> Path:
    """Write `report.html`, the figures as PNG, `layers.csv` and `summary.json` into a folder.

    It is made if it is not there. Files in it are never overwritten: the new ones get a number.

    Returns:
        The path of the page.
    """
    figures = draw_figures(analysis)
    files: dict[str, bytes | str] = {
        **{f"{name}.png": data for name, data in figures.items()},
        "layers.csv": to_csv(analysis),
        "summary.json": json.dumps(summarise(analysis), indent=1) + "\n",
    }
    return save_page(folder, render_analysis(analysis, figures), files)
