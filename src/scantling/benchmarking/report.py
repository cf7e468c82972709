"""A benchmark as files: figures, one HTML page, JSON for machines and CSV for spreadsheets."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..reports import Block, Details, Heading, Picture, Table, Text, render_page, save_page
from .figures import draw_accuracy, draw_latency
from .outcome import Benchmark, notes_of, problems_of, summarise
from .tables import (
    as_csv,
    cost_table,
    describe_versions,
    latency_table,
    samples_as_csv,
    speed_table,
)

HOW_TO_READ = (
    "Median (min–max) of trials interleaved in one process; × is how many times as fast as the "
    "first row, the median of the ratios of the trials (half of them lie in the brackets). "
    "Samples during which the scheduler made a thread wait for more than 3 % of the time are left "
    "out; * where too few others were left. Compare × between runs, never milliseconds."
)


def save_report(benchmark: Benchmark, folder: Path) -> Path:
    """Write `report.html`, `latency.png`, `accuracy.png`, `benchmark.json` and two CSV files.

    The folder is made if it is not there. Files in it are never overwritten: new ones get a number.

    Returns:
        The path of the page.
    """
    figures = draw_figures(benchmark)
    files: dict[str, bytes | str] = {
        **{f"{name}.png": data for name, data in figures.items()},
        "benchmark.json": json.dumps(summarise(benchmark), indent=1, allow_nan=False) + "\n",
        "benchmark.csv": as_csv(benchmark).encode("utf-8", "replace"),
        "samples.csv": samples_as_csv(benchmark),
    }
    return save_page(folder, render_report(benchmark, figures), files)


def draw_figures(benchmark: Benchmark) -> dict[str, bytes]:
    """The figures as PNG files, by name: `accuracy` where an AP is known, and `latency`."""
    drawn = {"accuracy": draw_accuracy(benchmark), "latency": draw_latency(benchmark)}
    return {name: data for name, data in drawn.items() if data is not None}


def render_report(benchmark: Benchmark, figures: Mapping[str, bytes]) -> str:
    """One HTML page that holds everything."""
    parts: list[Block] = [
        Text(describe_machine_line(benchmark.machine)),
        Text(f"Measured with {benchmark.images}.", "note"),
        *([Text(f"AP on {benchmark.data}", "note")] if benchmark.data else []),
        *[Text(line, "look") for line in notes_of(benchmark)],
        *[Text(line, "bad") for line in problems_of(benchmark)],
        *[Picture(figures[name], _CAPTIONS[name]) for name in figures],
        Heading("Latency"),
        Table(*latency_table(benchmark)),
        Heading("The network alone, and throughput"),
        Table(*speed_table(benchmark)),
        Text(HOW_TO_READ, "note"),
        Heading("Stages, memory, start-up"),
        Table(*cost_table(benchmark), "Stages in median milliseconds an image."),
        Text(HOW_IT_STARTS, "note"),
        Details("Engines and versions", [_render_engines(benchmark)]),
        Details("Machine", [_render_machine(benchmark.machine)]),
    ]
    return render_page("Benchmark", parts)


HOW_IT_STARTS = (
    "Memory and first boxes are of a process of its own: the peak of what was resident, shared "
    "libraries included, and the time from its command to the boxes of the first image, with what "
    "had to be converted or built already in the cache."
)
_CAPTIONS = {
    "latency": "Median milliseconds of an image, by stage.",
    "accuracy": "AP over the latency of an image: up and to the left is better.",
}


def describe_machine_line(machine: Mapping[str, Any]) -> str:
    """The processor, its cores and the system, in one line."""
    sets = ", ".join(machine["instructions"])
    parts = [
        f"{machine['processor']}, {machine['cores']} cores",
        sets and f"computes in {sets}",
        f"{machine['memory'] / 2**30:.0f} GiB" if machine["memory"] else "",
        ", ".join(machine["gpu"]),
        machine["system"],
    ]
    return "; ".join(part for part in parts if part)


def _render_engines(benchmark: Benchmark) -> Table:
    rows = [
        (number, row.name, row.description or row.problem, describe_versions(row))
        for number, row in enumerate(benchmark.rows, start=1)
    ]
    return Table(("row", "model", "engine", "versions"), rows)


def _render_machine(machine: Mapping[str, Any]) -> Table:
    return Table(("what", "value"), [(name, _show(value)) for name, value in machine.items()])


def _show(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {one}" for name, one in value.items() if one is not None)
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)
