"""How fast a model is: latency, throughput, memory and start-up, beside its accuracy."""

from .contender import Contender, Source, read_source
from .outcome import Accuracy, Benchmark, Row, notes_of, problems_of, summarise
from .report import describe_machine_line, draw_figures, render_report, save_report
from .run import benchmark
from .samples import Ratio, Sample, Spread
from .tables import cost_table, latency_table, speed_table

__all__ = [
    "Accuracy",
    "Benchmark",
    "Contender",
    "Ratio",
    "Row",
    "Sample",
    "Source",
    "Spread",
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
