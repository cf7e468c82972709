"""Evaluate detections against labels, by the COCO, VOC and darknet protocols.

Protocols compare two tables of columns: `GroundTruth`, which `make_ground_truth` makes from a
`Dataset`, and `DetectionTable`, which `DetectionTableBuilder` fills image by image, and
`read_results` from a file.
"""

from ..specs.classes import ClassMatch
from .coco import CocoResult, evaluate_coco, format_coco_block
from .coco_results import read_results, write_results
from .error_analysis import (
    Confusion,
    Curve,
    Curves,
    ImageScore,
    compute_curves,
    confusion_matrix,
    rank_images,
)
from .evaluation import Evaluation, Metrics, Seconds, choose_protocol, class_table, compute_metrics
from .evaluator import evaluate, evaluate_results, open_data, protocol_settings, selection_for
from .matching import Matching, match_detections
from .protocol import Protocol, ProtocolResult
from .protocols import PROTOCOLS
from .report import (
    describe_data,
    describe_stats,
    draw_evaluated_image,
    draw_figures,
    render_images,
    render_report,
    save_report,
    summarise,
    warnings_of,
)
from .subset import find_labels
from .tables import DetectionTable, DetectionTableBuilder, GroundTruth, make_ground_truth
from .uncertainty import ApLost, compare_metrics, describe_images
from .voc import VocResult, evaluate_darknet, evaluate_voc
from .voc_results import read_voc_results

__all__ = [
    "PROTOCOLS",
    "ApLost",
    "ClassMatch",
    "CocoResult",
    "Confusion",
    "Curve",
    "Curves",
    "DetectionTable",
    "DetectionTableBuilder",
    "Evaluation",
    "GroundTruth",
    "ImageScore",
    "Matching",
    "Metrics",
    "Protocol",
    "ProtocolResult",
    "Seconds",
    "VocResult",
    "choose_protocol",
    "class_table",
    "compare_metrics",
    "compute_curves",
    "compute_metrics",
    "confusion_matrix",
    "describe_data",
    "describe_images",
    "describe_stats",
    "draw_evaluated_image",
    "draw_figures",
    "evaluate",
    "evaluate_coco",
    "evaluate_darknet",
    "evaluate_results",
    "evaluate_voc",
    "find_labels",
    "format_coco_block",
    "make_ground_truth",
    "match_detections",
    "open_data",
    "protocol_settings",
    "rank_images",
    "read_results",
    "read_voc_results",
    "render_images",
    "render_report",
    "save_report",
    "selection_for",
    "summarise",
    "warnings_of",
    "write_results",
]
