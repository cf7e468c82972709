"""How good are detections: the COCO, VOC and darknet protocols, curves, confusion, worst images.

Everything works on two tables of columns: `Truth`, what is labelled, and `Found`, what a model
says. `truth_of` makes the first from a `Dataset`; `FoundBuilder` makes the second image by image,
`read_results` from a file.
"""

from .coco import CocoResult, evaluate_coco, format_coco_block
from .confusion import Confusion, confusion_matrix
from .curves import Curve, Curves, curves_of
from .found import Found, FoundBuilder
from .matching import Matching, match
from .protocol import PROTOCOLS, Protocol
from .results import read_results, write_results
from .truth import Truth, truth_of
from .voc import VocResult, evaluate_darknet, evaluate_voc
from .voc_results import read_voc_results
from .worst import ImageScore, rank_images

__all__ = [
    "PROTOCOLS",
    "CocoResult",
    "Confusion",
    "Curve",
    "Curves",
    "Found",
    "FoundBuilder",
    "ImageScore",
    "Matching",
    "Protocol",
    "Truth",
    "VocResult",
    "confusion_matrix",
    "curves_of",
    "evaluate_coco",
    "evaluate_darknet",
    "evaluate_voc",
    "format_coco_block",
    "match",
    "rank_images",
    "read_results",
    "read_voc_results",
    "truth_of",
    "write_results",
]
