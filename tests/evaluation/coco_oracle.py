"""COCO annotations and results as pycocotools takes them, as columns, and its own figures."""

import contextlib
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from scantling.evaluation import DetectionTable, GroundTruth

if TYPE_CHECKING:
    from pycocotools.cocoeval import COCOeval

Document = dict[str, Any]
Results = list[dict[str, Any]]


def truth_from(document: Document) -> GroundTruth:
    """The annotations as columns, with the very numbers of the file."""
    ids = [image["id"] for image in document["images"]]
    categories = [category["id"] for category in document["categories"]]
    place = {identity: index for index, identity in enumerate(ids)}
    rows = sorted(document["annotations"], key=lambda one: place[one["image_id"]])
    return GroundTruth(
        tuple(category["name"] for category in document["categories"]),
        tuple(categories),
        tuple(ids),
        np.array([one["bbox"] for one in rows], np.float64).reshape(-1, 4),
        np.array([categories.index(one["category_id"]) for one in rows], np.int64),
        np.array([place[one["image_id"]] for one in rows], np.int64),
        np.array([bool(one["iscrowd"]) for one in rows], np.bool_),
        np.zeros(len(rows), np.bool_),
        np.array([one["area"] for one in rows], np.float64),
    )


def found_from(results: Results, truth: GroundTruth) -> DetectionTable:
    """The results as columns, with the very numbers of the file."""
    return DetectionTable(
        np.array([one["bbox"] for one in results], np.float64).reshape(-1, 4),
        np.array([one["score"] for one in results], np.float64),
        np.array([truth.category_ids.index(one["category_id"]) for one in results], np.int64),
        np.array([truth.image_ids.index(one["image_id"]) for one in results], np.int64),
    )


def by_pycocotools(document: Document, results: Results, **settings: object) -> "COCOeval":
    """Evaluated by pycocotools, summarised, with what it printed as `.printed`."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    printed = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()):
        labelled = COCO()
        labelled.dataset = document
        labelled.createIndex()
        detected = labelled.loadRes(results) if results else COCO()
        if not results:  # loadRes cannot take none
            detected.dataset = {**document, "annotations": []}
            detected.createIndex()
        judge = COCOeval(labelled, detected, "bbox")
        for name, value in settings.items():
            setattr(judge.params, name, value)
        judge.evaluate()
        judge.accumulate()
        with contextlib.redirect_stdout(printed):
            judge.summarize()
    judge.printed = printed.getvalue()
    return judge
