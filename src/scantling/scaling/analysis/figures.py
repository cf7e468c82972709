"""Figures of an analysis as PNG bytes: roofline, cost by part, activation memory."""

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes

from ...reports import COLORS, new_figure, plain_text, to_png
from ..costs import LayerCost, Roofline
from .analysis import Analysis

# A colour for every kind of layer that computes.
KINDS = {
    "convolution": COLORS[0],
    "grouped": COLORS[3],
    "depthwise": COLORS[1],
    "product": COLORS[2],
}
SMALLEST, LARGEST = 12.0, 500.0  # of a dot, in points²
NAMED = 5  # layers of a roofline that have a number
SPOKEN = 0.045  # share from which on a bar has its number on it


def draw_figures(analysis: Analysis) -> dict[str, bytes]:
    """Draw every figure: name → PNG bytes; the roofline only where one is given."""
    figures = (
        {}
        if analysis.roofline is None
        else {"roofline": draw_roofline(analysis, analysis.roofline)}
    )
    return {**figures, "parts": draw_parts(analysis), "memory": draw_memory(analysis)}


def draw_roofline(analysis: Analysis, roofline: Roofline) -> bytes:
    """Roofline plot: a dot for each layer that computes, its area the share of the time."""
    layers = [layer for layer in analysis.cost.layers if layer.macs]
    intensities = np.array([layer.intensity for layer in layers])
    whole = sum(map(roofline.seconds, analysis.cost.layers))
    figure, (axes,) = new_figure(7.2, 4.6)
    low = min(intensities.min(), roofline.ridge) / 3
    high = max(intensities.max(), roofline.ridge) * 3
    line = np.geomspace(low, high, 200)
    axes.plot(line, [roofline.reachable(x) for x in line], color="#333333", linewidth=1.6, zorder=2)
    axes.axvline(roofline.ridge, color="#999999", linewidth=0.8, linestyle="--", zorder=1)
    _draw_layers(axes, layers, roofline, whole)
    axes.set(xscale="log", yscale="log", xlim=(low, high))
    axes.set_xlabel("arithmetic intensity, MACs for each byte moved")
    axes.set_ylabel("MACs a second, at most")
    axes.text(
        roofline.ridge,
        roofline.macs_per_second * 1.2,
        f"ridge: {roofline.ridge:.3g} MACs a byte",
        fontsize=8,
        color="#555555",
        ha="center" if low * 5 < roofline.ridge < high / 5 else "right",
    )
    _name_longest(axes, layers, roofline)
    idle = sum(roofline.seconds(layer) for layer in analysis.cost.layers if not layer.macs) / whole
    title = f"layers without MACs, not shown: {idle:.0%} of the time"
    legend = axes.legend(fontsize=8, frameon=False, loc="upper left", title=title, title_fontsize=8)
    axes.set_ylim(top=axes.get_ylim()[1] * 5)  # room for the legend
    for handle in legend.legend_handles:
        if handle is not None and hasattr(handle, "set_sizes"):
            handle.set_sizes([60])
    device = f" on {roofline.name}" if roofline.name else ""
    title = f"{_title(analysis)}{device}: {whole * 1e3:.3g} ms at least"
    axes.set_title(
        plain_text(title) if len(title) <= 60 else title.replace("$", r"\$"), fontsize=10
    )
    return to_png(figure)


def _draw_layers(axes: Axes, layers: list[LayerCost], roofline: Roofline, whole: float) -> None:
    """Draw a dot for each layer under the roofline, coloured by kind."""
    intensities = np.array([layer.intensity for layer in layers])
    seconds = np.array([roofline.seconds(layer) for layer in layers])
    for kind, color in KINDS.items():
        own = np.array([layer.kind == kind for layer in layers])
        if own.any():
            share = seconds[own].sum() / whole
            axes.scatter(
                intensities[own],
                [roofline.reachable(x) for x in intensities[own]],
                s=SMALLEST + (LARGEST - SMALLEST) * seconds[own] / seconds.max(),
                color=color,
                alpha=0.45,
                linewidth=0.5,
                edgecolor="white",
                zorder=3,
                label=f"{kind} ({own.sum()}): {share:.0%} of the time",
            )


def _name_longest(axes: Axes, layers: list[LayerCost], roofline: Roofline) -> None:
    """Number the dots of the slowest layers, and list them in a corner."""
    longest = sorted(layers, key=roofline.seconds, reverse=True)[:NAMED]
    lines = []
    for number, layer in enumerate(longest, start=1):
        place = (layer.intensity, roofline.reachable(layer.intensity))
        axes.annotate(str(number), place, fontsize=8, ha="center", va="center", zorder=4)
        lines.append(f"{number}  {plain_text(layer.name)}  {roofline.seconds(layer) * 1e3:.3g} ms")
    axes.text(
        0.98, 0.04, "\n".join(lines), transform=axes.transAxes, fontsize=8, ha="right", va="bottom"
    )


def draw_parts(analysis: Analysis) -> bytes:
    """Stacked bars: each part's share of parameters, MACs, bytes and time."""
    groups = group_layers(analysis)
    measures: dict[str, list[int] | list[float]] = {
        "parameters": [sum(one.parameters for one in layers) for layers in groups.values()],
        "MACs": [sum(one.macs for one in layers) for layers in groups.values()],
        "bytes moved": [sum(one.moved_bytes for one in layers) for layers in groups.values()],
    }
    if analysis.roofline is not None:
        roofline = analysis.roofline
        measures["least time"] = [
            sum(roofline.seconds(one) for one in own) for own in groups.values()
        ]
    figure, (axes,) = new_figure(7.6, 1.5 + 0.55 * len(measures))
    colors = _part_colors(list(groups))
    rows = range(len(measures))
    left = np.zeros(len(measures))
    for place, (name, color) in enumerate(zip(groups, colors, strict=True)):
        shares = np.array([values[place] / max(1e-30, sum(values)) for values in measures.values()])
        axes.barh(
            rows, shares, left=left, color=color, edgecolor="white", linewidth=0.8, label=name
        )
        for row, share in enumerate(shares.tolist()):
            if share >= SPOKEN:
                _write_share(axes, left[row] + share / 2, row, share, color)
        left += shares
    axes.set_yticks(rows, list(measures))
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.legend(fontsize=8, frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.16))
    axes.set_title(f"{plain_text(_title(analysis))}: where the cost lies", fontsize=10)
    return to_png(figure)


def draw_memory(analysis: Analysis) -> bytes:
    """Bar chart of the live activation memory while each layer runs, coloured by part."""
    layers = analysis.cost.layers
    live = np.array([layer.live_bytes for layer in layers]) / 1e6
    figure, (axes,) = new_figure(7.6, 4.0)
    groups = group_layers(analysis)
    owner = {id(layer): name for name, members in groups.items() for layer in members}
    places = np.arange(len(layers))
    for name, color in zip(groups, _part_colors(list(groups)), strict=True):
        own = np.array([owner[id(layer)] == name for layer in layers])
        axes.bar(places[own], live[own], width=1.0, color=color, label=name)
    most = int(live.argmax())
    axes.annotate(
        f"{live[most]:.1f} MB, {plain_text(layers[most].name)}",
        (most, live[most]),
        xytext=(0, 5),
        textcoords="offset points",
        fontsize=8,
        ha="left" if most < len(layers) / 2 else "right",
    )
    axes.set_ylim(top=live[most] * 1.15)
    axes.set_xlabel("layer, in the order of execution")
    axes.set_ylabel("MB of activations alive")
    axes.legend(fontsize=8, frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.16))
    axes.set_title(f"{plain_text(_title(analysis))}: activation memory", fontsize=10)
    return to_png(figure)


def group_layers(analysis: Analysis) -> dict[str, list[LayerCost]]:
    """Layers grouped for drawing: by part, or by stride for a cfg, which has many parts."""
    groups: dict[str, list[LayerCost]] = {}
    parts = analysis.cost.parts
    few = len(parts) <= 16
    for part in parts:
        groups.setdefault(part.name if few else part.group, []).extend(part.layers)
    return groups


def _part_colors(names: list[str]) -> list[str]:
    """Colour of each part: blues for the backbone, orange for the neck, greens for the head."""
    shades = {"neck": "Oranges", "head": "Greens"}
    families = [shades.get(name.partition(".")[0], "Blues") for name in names]
    found = []
    for place, family in enumerate(families):
        members = [index for index, one in enumerate(families) if one == family]
        step = (members.index(place) + 1) / (len(members) + 1)
        red, green, blue, _ = colormaps[family](0.3 + 0.6 * step)
        found.append(f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}")
    return found


def _write_share(axes: Axes, x: float, row: int, share: float, color: str) -> None:
    red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    dark = 0.3 * red + 0.6 * green + 0.1 * blue < 140
    ink = "white" if dark else "black"
    axes.text(x, row, f"{share:.0%}", ha="center", va="center", fontsize=8, color=ink)


def _title(analysis: Analysis) -> str:
    cost = analysis.cost
    batch = f", batch {cost.batch}" if cost.batch > 1 else ""
    size = "×".join(map(str, cost.image_size))
    return f"{cost.name} at {size}{batch}, {cost.precision}"
