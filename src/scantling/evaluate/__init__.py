"""How good a model is on labelled data: run it, judge what it finds, write it down."""

from .classes import ClassMatch, match_names
from .judge import Judged, choose_protocol, judge
from .outcome import Evaluation, Seconds
from .report import (
    describe_data,
    describe_figures,
    draw_figures,
    draw_image,
    render_images,
    render_report,
    save_report,
    summarise,
    warnings_of,
)
from .run import evaluate, evaluate_results, open_data, selection_for
from .tables import class_table

__all__ = [
    "ClassMatch",
    "Evaluation",
    "Judged",
    "Seconds",
    "choose_protocol",
    "class_table",
    "describe_data",
    "describe_figures",
    "draw_figures",
    "draw_image",
    "evaluate",
    "evaluate_results",
    "judge",
    "match_names",
    "open_data",
    "render_images",
    "render_report",
    "save_report",
    "selection_for",
    "summarise",
    "warnings_of",
]
