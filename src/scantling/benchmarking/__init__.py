"""How fast a model is: latency, throughput, memory and start-up, beside its accuracy."""

from .contender import Contender, Source, read_source
from .outcome import Accuracy, Benchmark, BenchmarkRow, notes_of, problems_of, summarise
from .report import describe_machine_line, draw_figures, render_report, save_report
from .run import benchmark
from .tables import cost_table, latency_table, speed_table
from .timings import Ratio, Spread, Timing

__all__ = [
    "Accuracy",
    "Benchmark",
    "BenchmarkRow",
    "Contender",
    "Ratio",
    "Source",
    "Spread",
    "Timing",
    "benchmark",
    "cost_table",
    "describe_machine_line",
    "draw_figures",
    "latency_table",
    "notes_of",
    "problems_of",
    "read_source",
    "render_report",
    "save_report",
    "speed_table",
    "summarise",
]
