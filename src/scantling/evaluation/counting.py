"""The counting behind COCO's protocol, a class at a time, by faster-coco-eval's compiled part.

A class is handed over whole and let go again: the memory needed is that of the largest class.
"""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
from faster_coco_eval import faster_eval_api_cpp
from faster_coco_eval.core import mask
from numpy.typing import NDArray

from ..structures import IntArray
from .found import Found
from .truth import Truth, image_order

Columns = NDArray[np.float64]


class ByClass:
    """Truth and detections by class, then image in the order of the ids, then as COCO takes them.

    pycocotools takes images by id and, at equal scores, what came first; both are kept here. Of
    each image and class only the `most` best detections are.
    """

    def __init__(self, truth: Truth, found: Found, *, most: int, any_class: bool) -> None:
        rank = image_order(truth.image_ids)
        by_category = np.argsort(np.argsort(truth.category_ids, kind="stable"), kind="stable")
        kinds = by_category[truth.labels], by_category[found.labels]
        groups = (np.zeros_like(truth.labels), np.zeros_like(found.labels))
        if not any_class:
            groups = (truth.labels, found.labels)
        order = np.lexsort((kinds[0], rank[truth.image_index], groups[0]))
        self.truth_boxes = truth.boxes[order]
        self.truth_areas = truth.areas[order]
        self.crowd = truth.crowd[order].astype(np.int64)
        self.ignored = truth.ignored[order].astype(np.int64)
        self.truth_group, self.truth_image = groups[0][order], rank[truth.image_index][order]

        image = rank[found.image_index]
        order = np.lexsort((kinds[1], -found.scores, image, groups[1]))
        new = np.diff(groups[1][order], prepend=-1) != 0
        new |= np.diff(image[order], prepend=-1) != 0
        starts = np.flatnonzero(new)
        place = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
        order = order[place < most]
        self.boxes, self.scores = found.boxes[order], found.scores[order]
        self.group, self.image = groups[1][order], image[order]


def count_class(table: ByClass, label: int, settings: SimpleNamespace) -> dict[str, Columns] | None:
    """Precision, recall and scores of one class; None where it has no object to find.

    Args:
        table: the objects and detections of all classes.
        label: which class.
        settings: `iouThrs`, `recThrs`, `maxDets`, `areaRng`, `useCats`, `catIds`, as pycocotools
            calls them.
    """
    truths = slice(*np.searchsorted(table.truth_group, [label, label + 1]).tolist())
    founds = slice(*np.searchsorted(table.group, [label, label + 1]).tolist())
    if truths.start == truths.stop:
        return None
    images = np.union1d(table.truth_image[truths], table.image[founds])
    truth_edges = truths.start + np.searchsorted(table.truth_image[truths], [*images, np.inf])
    found_edges = founds.start + np.searchsorted(table.image[founds], [*images, np.inf])
    overlaps = [
        [_iou(table, slice(*of_found), slice(*of_truth))]
        for of_found, of_truth in zip(
            pairwise(found_edges.tolist()), pairwise(truth_edges.tolist()), strict=True
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
        _detected(table, founds),
        places,
        [0],
        True,
    )
    return _as_pycocotools(counted, points, recalls, probes)


def _labelled(table: ByClass, truths: slice) -> Any:
    """The objects of a class, as faster-coco-eval takes them."""
    columns = (table.truth_image, table.truth_areas, table.crowd, table.ignored)
    rows = zip(*(column[truths].tolist() for column in columns), strict=True)
    collected = faster_eval_api_cpp.Dataset()
    for number, (image, area, crowd, ignored) in enumerate(rows, start=1):  # 0 means unmatched
        one = {"id": number, "area": area, "iscrowd": crowd, "ignore": ignored}
        collected.append_ref(image, 0, one)
    return collected


def _detected(table: ByClass, founds: slice) -> Any:
    """The detections of a class, as faster-coco-eval takes them."""
    areas = table.boxes[founds, 2] * table.boxes[founds, 3]
    columns = (table.image[founds], areas, table.scores[founds])
    rows = zip(*(column.tolist() for column in columns), strict=True)
    collected = faster_eval_api_cpp.Dataset()
    for number, (image, area, score) in enumerate(rows, start=1):
        collected.append_ref(image, 0, {"id": number, "area": area, "score": score})
    return collected


def _objects(table: ByClass, truths: slice, areas: list[list[float]]) -> IntArray:
    """(A,) how many objects of a class count in each range of areas."""
    own, counts = table.truth_areas[truths, None], table.ignored[truths, None] == 0
    low, high = np.asarray(areas).T
    inside: IntArray = ((own >= low) & (own <= high) & counts).sum(axis=0)
    return inside


def _as_pycocotools(
    counted: dict[str, Columns], points: Columns, recalls: Columns, probes: Columns
) -> dict[str, Columns]:
    """Precision as pycocotools rounds it, at the wanted points of recall alone.

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


def _iou(table: ByClass, founds: slice, truths: slice) -> list[list[float]]:
    """(D, G) IoU of one image and class."""
    if founds.start == founds.stop or truths.start == truths.stop:
        return []
    crowd = table.crowd[truths].tolist()
    overlap: list[list[float]] = mask.iou(
        table.boxes[founds], table.truth_boxes[truths], crowd
    ).tolist()
    return overlap
