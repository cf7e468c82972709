"""How fast a model is: latency, throughput, memory and start-up, beside its accuracy."""

from .contender import Contender, Source, read_source
from .outcome import Accuracy, Benchmark, notes_of, problems_of, summarise
from .report import describe_machine_line, save_report
from .run import benchmark
from .tables import cost_table, latency_table, speed_table

__all__ = [
    "Accuracy",
    "Benchmark",
    "Contender",
    "Source",
    "benchmark",
    "cost_table",
    "describe_machine_line",
    "latency_table",
    "notes_of",
    "problems_of",
    "read_source",
    "save_report",
    "speed_table",
    "summarise",
]
