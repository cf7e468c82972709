"""Precision and recall of COCO's protocol, class by class, in faster-coco-eval's compiled code.

One class is handed over at a time: the memory needed is that of the largest class.
"""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
from faster_coco_eval import faster_eval_api_cpp
from faster_coco_eval.core import mask
from numpy.typing import NDArray

from ..structures import IntArray
from .tables import DetectionTable, GroundTruth, image_order

Columns = NDArray[np.float64]


class ByClass:
    """Objects and detections sorted by class, image id and COCO's order within an image.

    pycocotools takes images by id and, at equal scores, what came first; both are kept here. Of
    each image and class only the `most` best detections are.
    """

    def __init__(
        self, truth: GroundTruth, detections: DetectionTable, *, most: int, class_agnostic: bool
    ) -> None:
        rank = image_order(truth.image_ids)
        by_category = np.argsort(np.argsort(truth.category_ids, kind="stable"), kind="stable")
        kinds = by_category[truth.labels], by_category[detections.labels]
        groups = (np.zeros_like(truth.labels), np.zeros_like(detections.labels))
        if not class_agnostic:
            groups = (truth.labels, detections.labels)
        order = np.lexsort((kinds[0], rank[truth.image_index], groups[0]))
        self.truth_boxes = truth.boxes[order]
        self.truth_areas = truth.areas[order]
        self.crowd = truth.crowd[order].astype(np.int64)
        self.ignored = truth.ignored[order].astype(np.int64)
        self.truth_group, self.truth_image = groups[0][order], rank[truth.image_index][order]

        image = rank[detections.image_index]
        order = np.lexsort((kinds[1], -detections.scores, image, groups[1]))
        new = np.diff(groups[1][order], prepend=-1) != 0
        new |= np.diff(image[order], prepend=-1) != 0
        starts = np.flatnonzero(new)
        place = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
        order = order[place < most]
        self.boxes, self.scores = detections.boxes[order], detections.scores[order]
        self.group, self.image = groups[1][order], image[order]


def count_class(table: ByClass, label: int, settings: SimpleNamespace) -> dict[str, Columns]:
    """Compute precision, recall and scores of one class that has objects.

    Args:
        table: the objects and detections of all classes.
        label: which class.
        settings: `iouThrs`, `recThrs`, `maxDets`, `areaRng`, `useCats`, `catIds`, as pycocotools
            calls them.
    """
    truths = slice(*np.searchsorted(table.truth_group, [label, label + 1]).tolist())
    detected = slice(*np.searchsorted(table.group, [label, label + 1]).tolist())
    images = np.union1d(table.truth_image[truths], table.image[detected])
    truth_edges = truths.start + np.searchsorted(table.truth_image[truths], [*images, np.inf])
    detected_edges = detected.start + np.searchsorted(table.image[detected], [*images, np.inf])
    overlaps = [
        [_iou(table, slice(*of_detected), slice(*of_truth))]
        for of_detected, of_truth in zip(
            pairwise(detected_edges.tolist()), pairwise(truth_edges.tolist()), strict=True
        )
    ]
    recalls = np.asarray(settings.recThrs)
    # between the recall of the first object found and that of the second
    probes = 1.5 / np.maximum(_objects(table, truths, settings.areaRng), 1)
    points = np.sort([*recalls, *probes])
    places = images.tolist()
    counted = faster_eval_api_cpp.COCOevalEvaluateAccumulate(
        SimpleNamespace(**{**vars(settings), "imgIds": places, "recThrs": points}),
        overlaps,
        _labelled(table, truths),
        _detected(table, detected),
        places,
        [0],
        True,
    )
    return _as_pycocotools(counted, points, recalls, probes)


def _labelled(table: ByClass, truths: slice) -> Any:
    """Objects of a class in faster-coco-eval's form."""
    columns = (table.truth_image, table.truth_areas, table.crowd, table.ignored)
    rows = zip(*(column[truths].tolist() for column in columns), strict=True)
    collected = faster_eval_api_cpp.Dataset()
    for number, (image, area, crowd, ignored) in enumerate(rows, start=1):  # 0 means unmatched
        one = {"id": number, "area": area, "iscrowd": crowd, "ignore": ignored}
        collected.append_ref(image, 0, one)
    return collected


def _detected(table: ByClass, detected: slice) -> Any:
    """Detections of a class in faster-coco-eval's form."""
    areas = table.boxes[detected, 2] * table.boxes[detected, 3]
    columns = (table.image[detected], areas, table.scores[detected])
    rows = zip(*(column.tolist() for column in columns), strict=True)
    collected = faster_eval_api_cpp.Dataset()
    for number, (image, area, score) in enumerate(rows, start=1):
        collected.append_ref(image, 0, {"id": number, "area": area, "score": score})
    return collected


def _objects(table: ByClass, truths: slice, areas: list[list[float]]) -> IntArray:
    """(A,) number of a class's objects in each range of areas."""
    own, counts = table.truth_areas[truths, None], table.ignored[truths, None] == 0
    low, high = np.asarray(areas).T
    inside: IntArray = ((own >= low) & (own <= high) & counts).sum(axis=0)
    return inside


def _as_pycocotools(
    counted: dict[str, Columns], points: Columns, recalls: Columns, probes: Columns
) -> dict[str, Columns]:
    """Round precision as pycocotools does, and keep the requested recalls only.

    It adds 2e-16 to the number of detections, which shows only where that is 1: a first detection
    that is right, and the next one wrong, has a precision just under 1. Precision at the recall of
    a second object tells whether the next one was right.
    """
    precision = counted["precision"]
    for area, probe in enumerate(probes.tolist()):
        own = precision[:, :, :, area]
        second = own[:, [np.searchsorted(points, probe)]]
        own[(own == 1.0) & (second != 1.0)] = 1 / (1 + np.spacing(1.0))
    kept = np.searchsorted(points, recalls)
    return {
        "precision": precision[:, kept],
        "scores": counted["scores"][:, kept],
        "recall": counted["recall"],
    }


def _iou(table: ByClass, detected: slice, truths: slice) -> list[list[float]]:
    """(D, G) IoU of one image and class."""
    if detected.start == detected.stop or truths.start == truths.stop:
        return []
    crowd = table.crowd[truths].tolist()
    overlap: list[list[float]] = mask.iou(
        table.boxes[detected], table.truth_boxes[truths], crowd
    ).tolist()
    return overlap
