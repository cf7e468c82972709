"""How good a model is: run it, judge what it finds by COCO, VOC or darknet, write it down.

The protocols work on two tables of columns: `Truth`, what is labelled, and `Found`, what a model
says. `truth_of` makes the first from a `Dataset`; `FoundBuilder` makes the second image by image,
`read_results` from a file.
"""

from .classes import ClassMatch, match_names
from .coco import CocoResult, evaluate_coco, format_coco_block
from .confusion import Confusion, confusion_matrix
from .curves import Curve, Curves, curves_of
from .found import Found, FoundBuilder
from .judge import Judged, choose_protocol, judge
from .matching import Matching, match
from .outcome import Evaluation, Seconds
from .protocol import PROTOCOLS, Protocol
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
from .results import read_results, write_results
from .run import evaluate, evaluate_results, open_data, selection_for
from .tables import class_table
from .truth import Truth, truth_of
from .voc import VocResult, evaluate_darknet, evaluate_voc
from .voc_results import read_voc_results
from .worst import ImageScore, rank_images

__all__ = [
    "PROTOCOLS",
    "ClassMatch",
    "CocoResult",
    "Confusion",
    "Curve",
    "Curves",
    "Evaluation",
    "Found",
    "FoundBuilder",
    "ImageScore",
    "Judged",
    "Matching",
    "Protocol",
    "Seconds",
    "Truth",
    "VocResult",
    "choose_protocol",
    "class_table",
    "confusion_matrix",
    "curves_of",
    "describe_data",
    "describe_figures",
    "draw_figures",
    "draw_image",
    "evaluate",
    "evaluate_coco",
    "evaluate_darknet",
    "evaluate_results",
    "evaluate_voc",
    "format_coco_block",
    "judge",
    "match",
    "match_names",
    "open_data",
    "rank_images",
    "read_results",
    "read_voc_results",
    "render_images",
    "render_report",
    "save_report",
    "selection_for",
    "summarise",
    "truth_of",
    "warnings_of",
    "write_results",
]
