"""A benchmark as tables: for a page, a terminal, and a spreadsheet."""

import csv
import io
from collections.abc import Sequence
from dataclasses import fields

from ..inference.predictor import STAGES
from ..reports.csv_cells import as_cell
from .outcome import Benchmark, BenchmarkRow
from .timings import Ratio, Spread

MEGABYTE = 1e6
NOTHING = "–"
Cells = tuple[tuple[str, ...], list[tuple[str, ...]]]


def latency_table(benchmark: Benchmark) -> Cells:
    """Column names and a row of text for each contender: how it is run, and how long one waits."""
    columns = (
        *("row", "model", "engine", "size", "batch", "threads", "streams"),
        *("file → boxes, ms", "p95", "p99", "×"),
    )
    rows: list[tuple[str, ...]] = [
        (
            *_who(number, row),
            NOTHING if row.image_size is None else f"{row.image_size[0]}×{row.image_size[1]}",
            str(row.batch),
            "auto" if row.threads is None else str(row.threads),
            str(row.streams),
            show_spread(row.latency, scale=1e3),
            NOTHING if row.latency is None else show(row.latency.p95 * 1e3),
            NOTHING if row.latency is None else show(row.latency.p99 * 1e3),
            show_ratio(row.latency_ratio, base=row is benchmark.base),
        )
        for number, row in _measured(benchmark)
    ]
    return columns, rows


def speed_table(benchmark: Benchmark) -> Cells:
    """Column names and a row of text for each contender: the network alone, and throughput."""
    columns = (
        *("row", "model", "engine", "network, ms", "×"),
        *("files/s", "×", "network alone, images/s", "×"),
    )
    base = benchmark.base
    rows: list[tuple[str, ...]] = [
        (
            *_who(number, row),
            show_spread(row.network, scale=1e3),
            show_ratio(row.network_ratio, base=row is base),
            show_spread(row.throughput),
            show_ratio(row.throughput_ratio, base=row is base),
            show_spread(row.network_throughput),
            show_ratio(row.network_throughput_ratio, base=row is base),
        )
        for number, row in _measured(benchmark)
    ]
    return columns, rows


def cost_table(benchmark: Benchmark) -> Cells:
    """Column names and a row of text for each contender: stages, memory, start-up, AP."""
    columns = (
        *("row", "model", "engine", *STAGES),
        *("memory, MB", "first boxes, s", "AP", "AP50", "versions"),
    )
    rows: list[tuple[str, ...]] = [
        (
            *_who(number, row),
            *(NOTHING if row.stages is None else show(row.stages[one] * 1e3) for one in STAGES),
            _show_memory(row),
            _show_start(row),
            NOTHING if row.accuracy is None else f"{row.accuracy.ap:.3f}",
            NOTHING if row.accuracy is None else f"{row.accuracy.ap50:.3f}",
            describe_versions(row),
        )
        for number, row in _measured(benchmark)
    ]
    return columns, rows


def _measured(benchmark: Benchmark) -> list[tuple[int, BenchmarkRow]]:
    """The rows with figures, and their numbers."""
    numbered = enumerate(benchmark.rows, start=1)
    return [(number, row) for number, row in numbered if row.problem is None]


def _who(number: int, row: BenchmarkRow) -> tuple[str, str, str]:
    return str(number), row.name, f"{row.engine} {row.precision or ''}".strip()


def describe_versions(row: BenchmarkRow) -> str:
    """`scantling 0.1.0, openvino 2026.4.1`."""
    return ", ".join(f"{name} {version}" for name, version in row.versions.items())


def show_spread(spread: Spread | None, *, scale: float = 1.0) -> str:
    """`11.7 (5.3–14.2)`; a `*` where disturbed samples had to count."""
    if spread is None:
        return NOTHING
    middle, low, high = (show(value * scale) for value in (spread.median, spread.low, spread.high))
    noisy = "*" if spread.disturbed and not spread.cleaned else ""
    return f"{middle} ({low}–{high}){noisy}"


def show_ratio(ratio: Ratio | None, *, base: bool = False) -> str:
    """`4.49 (4.31–4.66)`: the median and the quartiles; `1` for what the others are compared to."""
    if base:
        return "1"
    if ratio is None:
        return NOTHING
    return f"{ratio.median:.2f} ({ratio.lower:.2f}–{ratio.upper:.2f})"


def show(value: float) -> str:
    """A number in three digits or so: `0.42`, `11.7`, `104`."""
    if value < 1:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def as_csv(benchmark: Benchmark) -> str:
    """A line for each row, for a spreadsheet: seconds, images a second, bytes, plain numbers."""
    lines = [_flat(row) for row in benchmark.rows]
    columns = list(dict.fromkeys(name for line in lines for name in line))
    return _write(columns, [[line.get(name, "") for name in columns] for line in lines])


def samples_as_csv(benchmark: Benchmark) -> str:
    """Every sample, in the order of the trials: what the figures were made from."""
    columns = ["row", "trial", "latency_s", "latency_waited", "network_s", "network_waited"]
    lines: list[list[object]] = []
    longest = max(map(len, benchmark.trials), default=0)
    for number in range(longest):
        for place, trials in enumerate(benchmark.trials):
            if number < len(trials):
                one = trials[number]
                latency, network = one.latency, one.network
                waits = ("" if part.waited is None else part.waited for part in (latency, network))
                first, second = waits
                line = [place, number, latency.value, first, network.value, second]
                lines.append([*line, *(one.stages[stage] for stage in STAGES)])
    return _write([*columns, *(f"{stage}_s" for stage in STAGES)], lines)


def _flat(row: BenchmarkRow) -> dict[str, object]:
    """The figures of a row under plain names."""
    plain: dict[str, object] = {
        "name": row.name,
        "engine": row.engine,
        "precision": row.precision or "",
        "height": "" if row.image_size is None else row.image_size[0],
        "width": "" if row.image_size is None else row.image_size[1],
        "batch": row.batch,
        "threads": "" if row.threads is None else row.threads,
        "streams": row.streams,
        "device": row.device,
        "versions": describe_versions(row),
    }
    for name in ("latency", "network", "throughput", "network_throughput"):
        plain |= _columns(name, getattr(row, name), Spread)
    for name in ("latency", "network", "throughput", "network_throughput"):
        plain |= _columns(f"{name}_ratio", getattr(row, f"{name}_ratio"), Ratio)
    stages = row.stages or {}
    plain |= {f"{stage}_s": stages.get(stage, "") for stage in STAGES}
    accuracy = row.accuracy
    plain |= {
        "memory_bytes": _or_empty(row.memory),
        "device_memory_bytes": _or_empty(row.device_memory),
        "start_s": _or_empty(row.start),
        "first_start_s": _or_empty(row.first_start),
        "ap": "" if accuracy is None else accuracy.ap,
        "ap50": "" if accuracy is None else accuracy.ap50,
        "problem": row.problem or "",
    }
    return plain


def _columns(
    name: str, value: Spread | Ratio | None, kind: type[Spread] | type[Ratio]
) -> dict[str, object]:
    return {
        f"{name}_{one.name}": "" if value is None else getattr(value, one.name)
        for one in fields(kind)
    }


def _write(columns: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([[as_cell(cell) for cell in line] for line in lines])
    return out.getvalue()


def _or_empty(value: float | None) -> float | str:
    return "" if value is None else value


def _show_memory(row: BenchmarkRow) -> str:
    if row.memory is None:
        return NOTHING
    text = f"{row.memory / MEGABYTE:,.0f}"
    if row.device_memory is None:
        return text
    return f"{text} + {row.device_memory / MEGABYTE:,.0f} of the GPU"


def _show_start(row: BenchmarkRow) -> str:
    """Of a later start, and of the first in brackets where it differs much."""
    if row.first_start is None:
        return NOTHING
    if row.start is None:
        return f"{row.first_start:.2f}"
    if row.first_start < 1.5 * row.start:
        return f"{row.start:.2f}"
    return f"{row.start:.2f} (first {row.first_start:.2f})"
