"""Cost of a model layer by layer, checked against design rules and a device's roofline."""

from .analysis import Analysis, analyze
from .figures import draw_figures
from .finding import RuleFinding
from .page import describe, save_analysis
from .rules import RULES
from .source import open_spec
from .tables import layer_table, part_table, summarise, to_csv

__all__ = [
    "RULES",
    "Analysis",
    "RuleFinding",
    "analyze",
    "describe",
    "draw_figures",
    "layer_table",
    "open_spec",
    "part_table",
    "save_analysis",
    "summarise",
    "to_csv",
]
