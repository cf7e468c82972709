"""What a model costs, layer by layer, held against the papers' rules and against a device."""

from .analysis import Analysis, analyze
from .figures import draw_figures
from .report import describe, render_analysis, save_analysis
from .rules import RULES, find_violations
from .source import open_spec
from .tables import layer_table, part_table, summarise, to_csv
from .verdict import Verdict

__all__ = [
    "RULES",
    "Analysis",
    "Verdict",
    "analyze",
    "describe",
    "draw_figures",
    "find_violations",
    "layer_table",
    "open_spec",
    "part_table",
    "render_analysis",
    "save_analysis",
    "summarise",
    "to_csv",
]
