"""A benchmark as figures: where the time of an image goes, and what accuracy it buys."""

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ..inference.predictor import STAGES
from ..reports import COLORS, new_figure, plain_text, to_png
from .outcome import Benchmark, BenchmarkRow

_STAGE_COLORS = dict(zip(STAGES, (COLORS[5], COLORS[4], COLORS[0], COLORS[2]), strict=True))
MARKERS = "osD^vP*X"
WIDE = 5.0  # the slowest so many times as slow as the fastest: a logarithmic axis


def draw_latency(benchmark: Benchmark) -> bytes | None:
    """A PNG with a bar for each row: milliseconds an image, by stage. None without a figure.

    The whisker reaches from the fastest sample to that which 95 of 100 do not exceed.
    """
    rows = [row for row in benchmark.rows if row.latency is not None and row.stages is not None]
    if not rows:
        return None
    figure, (axes,) = new_figure(9.0, 1.6 + 0.42 * len(rows))
    axes.grid(visible=False, axis="y")
    places = range(len(rows))
    left = [0.0] * len(rows)
    for stage in STAGES:
        values = [1e3 * (row.stages or {})[stage] for row in rows]
        axes.barh(places, values, left=left, height=0.62, color=_STAGE_COLORS[stage], label=stage)
        left = [start + value for start, value in zip(left, values, strict=True)]
    for place, row in zip(places, rows, strict=True):
        _whisker(axes, row, place)
    axes.set_yticks(places, [plain_text(row.label) for row in rows], fontsize=9)
    axes.margins(y=0.02)
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel(
        "milliseconds an image, from the file to its boxes (median; whisker: min – p95)"
    )
    axes.set_title("Where the time of an image goes", fontsize=11, loc="left")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return to_png(figure)


def draw_accuracy(benchmark: Benchmark) -> bytes | None:
    """A PNG with a point for each row: AP over milliseconds an image. None without any AP.

    Up and to the left is better. A line across reaches from the fastest sample to p95.
    """
    rows = [row for row in benchmark.rows if row.latency is not None and row.accuracy is not None]
    if not rows:
        return None
    figure, (axes,) = new_figure(8.4, 5.2)
    models = list(dict.fromkeys(row.name for row in rows))
    ways = list(dict.fromkeys(row.way for row in rows))
    for row in rows:
        color = COLORS[models.index(row.name) % len(COLORS)]
        marker = MARKERS[ways.index(row.way) % len(MARKERS)]
        middle, low, high = _milliseconds(row)
        score = row.accuracy.ap if row.accuracy is not None else 0.0
        axes.plot([low, high], [score, score], color=color, linewidth=1, alpha=0.6)
        axes.plot(middle, score, marker=marker, color=color, markersize=8, linestyle="")
    _name_points(axes, models, ways)
    times = [_milliseconds(row)[0] for row in rows]
    if max(times) > WIDE * min(times):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_xlim(left=0)
    scores = [row.accuracy.ap for row in rows if row.accuracy is not None]
    room = 0.3 * max(0.02, max(scores) - min(scores))
    axes.set_ylim(max(0.0, min(scores) - room), max(scores) + room)
    axes.set_xlabel("milliseconds an image, from the file to its boxes (median; line: min – p95)")
    axes.set_ylabel("AP")
    axes.set_title("Accuracy over latency", fontsize=11, loc="left")
    return to_png(figure)


def _name_points(axes: Axes, models: list[str], ways: list[str]) -> None:
    """Say what the colours and the markers are, beside the axes."""
    for place, model in enumerate(models):
        color = COLORS[place % len(COLORS)]
        axes.plot([], [], color=color, linewidth=5, label=plain_text(model))
    for place, way in enumerate(ways):
        marker = MARKERS[place % len(MARKERS)]
        axes.plot([], [], color=COLORS[6], marker=marker, linestyle="", label=plain_text(way))
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _whisker(axes: Axes, row: BenchmarkRow, place: int) -> None:
    """The spread of a row, and its median as a number."""
    middle, low, high = _milliseconds(row)
    axes.plot([low, high], [place, place], color="#222222", linewidth=1.2)
    for end in (low, high):
        axes.plot([end, end], [place - 0.12, place + 0.12], color="#222222", linewidth=1.2)
    axes.annotate(
        f"{middle:.1f}" if middle < 100 else f"{middle:.0f}",
        (max(high, middle), place),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
    )


def _milliseconds(row: BenchmarkRow) -> tuple[float, float, float]:
    """Median, smallest and p95 of the latency of an image."""
    spread = row.latency
    if spread is None:
        return 0.0, 0.0, 0.0
    median, low, high = (
        1e3 * value / row.batch for value in (spread.median, spread.low, spread.p95)
    )
    return median, low, high
