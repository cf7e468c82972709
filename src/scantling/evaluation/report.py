"""Write an evaluation: HTML page with drawn images, figures, detections and summary."""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..datasets.findings import count_codes
from ..errors import InvalidSource
from ..images import read_image
from ..io import make_output_folder
from ..reports import Block, Details, Gallery, Heading, Picture, Table, Text, render_page, save_page
from ..reports.drawing import encode_image
from ..structures import Image
from .coco_results import write_results
from .error_analysis import ImageScore
from .evaluation import MATCH_IOU, RECALLS, Evaluation, ap_by_size, class_table, mean_precision
from .figures import draw_bars, draw_confusion, draw_f1, draw_precision_recall
from .image_drawing import LEGEND, draw_matched

BEST, WORST = 6, 12  # images that are drawn
LISTED = 10  # images that could not be read
LONGEST_SIDE = 900  # pixels of a drawn image in the page
SCORES = np.linspace(0, 1, 201)


def summarise(evaluation: Evaluation) -> dict[str, Any]:
    """The evaluation without its detections, as plain values for JSON."""
    metrics, dataset, classes = evaluation.metrics, evaluation.dataset, evaluation.classes
    columns, rows = class_table(metrics)
    best = metrics.curves.overall
    names = None
    if classes is not None:
        names = {
            "pairs": dict(classes.pairs),
            "not_in_data": list(classes.unjudged),
            "not_in_model": list(classes.unknown),
        }
    return {
        "stats": metrics.stats,
        "protocol": {"line": evaluation.protocol_line, **metrics.protocol.to_record()},
        "best_f1": {
            "score": best.best_score if best.objects else None,
            "f1": best.best_f1 if best.objects else None,
            "iou": MATCH_IOU,
        },
        "classes": [dict(zip(columns, row, strict=True)) for row in rows],
        "model": dict(evaluation.model),
        "class_names": names,
        "data": {
            "source": str(dataset.source),
            "format": dataset.format,
            "split": dataset.split,
            "images": len(dataset),
            "images_in_all": evaluation.images,
            "objects": len(dataset.objects),
            "findings": count_codes(dataset.findings),
        },
        "detections": len(evaluation.detections),
        "unreadable": [{"path": path, "problem": why} for path, why in evaluation.unreadable],
        "seconds": asdict(evaluation.seconds),
    }


def draw_figures(evaluation: Evaluation) -> dict[str, bytes]:
    """Draw every figure: name → PNG bytes."""
    metrics = evaluation.metrics
    curves = metrics.curves
    shown = [one for one in curves.classes if one.objects or len(one.scores)] or curves.classes[:1]
    figures = {
        "precision-recall": draw_precision_recall(
            RECALLS,
            mean_precision(metrics),
            iou_thresholds=metrics.protocol.ious,
            title="Precision over recall, mean of the classes",
        ),
        "f1": draw_f1(
            SCORES,
            np.stack([curve.at(SCORES)[2] for curve in shown]),
            overall=curves.overall.at(SCORES)[2],
            names=[curve.name for curve in shown],
            best=(metrics.best_score, curves.overall.best_f1),
            title=f"F1 at IoU {MATCH_IOU:.2f}",
        ),
        "confusion": draw_confusion(
            metrics.confusion.occurring,
            names=[metrics.truth.names[label] for label in metrics.confusion.labels.tolist()],
            title=f"Confusion at IoU {MATCH_IOU:.2f}, scores from {metrics.best_score:.3f}",
        ),
    }
    values, counts = ap_by_size(metrics)
    if values:
        title = "AP by area: up to 32², to 96², above (pixels)"
        figures["ap-by-size"] = draw_bars(values, counts=counts, title=title)
    return figures


def draw_evaluated_image(evaluation: Evaluation, index: int) -> Image | None:
    """Draw an image with its objects and detections; None if it cannot be read.

    Only detections from the best threshold on are drawn; crowds, difficult objects, and what lies
    on them are not.
    """
    metrics = evaluation.metrics
    truth, found, matching = metrics.truth, metrics.detections, metrics.matching
    try:
        image = read_image(evaluation.dataset.images[index].path)
    except InvalidSource:
        return None
    own = (truth.image_index == index) & ~truth.ignored
    counted = (found.scores >= metrics.best_score) & ~matching.ignored
    seen = np.flatnonzero((found.image_index == index) & counted)
    reached = np.isin(np.flatnonzero(own), matching.matched_object[seen])
    return draw_matched(
        image,
        objects=_corners(truth.boxes[own]),
        object_tags=[truth.names[label] for label in truth.labels[own].tolist()],
        object_found=reached,
        detections=_corners(found.boxes[seen]),
        detection_tags=[
            f"{truth.names[label]} {score:.2f}"
            for label, score in zip(
                found.labels[seen].tolist(), found.scores[seen].tolist(), strict=True
            )
        ],
        detection_right=matching.true_positive[seen],
    )


def render_report(evaluation: Evaluation, figures: dict[str, bytes]) -> str:
    """Render the evaluation as one HTML page, images included."""
    metrics, dataset = evaluation.metrics, evaluation.dataset
    columns, rows = class_table(metrics)
    parts: list[Block] = [
        Text(describe_data(evaluation)),
        Text(evaluation.protocol_line, "note"),
        *[Text(line, "look") for line in warnings_of(evaluation)],
        Heading("Figures"),
        Text(describe_stats(evaluation), "code"),
        *[Picture(data, _CAPTIONS[name]) for name, data in figures.items()],
        Heading("Classes"),
        Table(columns, rows, "Threshold: where the F1 of the class is highest, at IoU 0.50."),
        *_render_confused(evaluation),
        *_render_names(evaluation),
        Heading("Images"),
        Text(LEGEND),
        Text(
            f"Detections from score {metrics.best_score:.3f} on, where F1 over all classes is the "
            "highest; crowds, difficult objects and what lies on them are not drawn.",
            "note",
        ),
        Heading("Worst", 3),
        render_images(evaluation, [one for one in reversed(metrics.ranking) if one.f1 < 1], WORST),
        Heading("Best", 3),
        render_images(evaluation, [one for one in metrics.ranking if one.true_positives], BEST),
        Heading("How it was made"),
        Table(("setting", "value"), list(evaluation.model.items())),
        Table(("milliseconds", "mean of an image"), _milliseconds(evaluation), places=2),
    ]
    return render_page(f"Evaluation on {dataset.source.name}", parts)


def save_report(evaluation: Evaluation, folder: Path) -> Path:
    """Write `results.json`, `summary.json`, the figures as PNG, and `report.html` into a folder.

    It is made if it is not there. Files in it are never overwritten: the new ones get a number.

    Returns:
        The path of the page.
    """
    make_output_folder(folder)
    write_results(
        folder / "results.json", evaluation.detections, evaluation.metrics.truth, overwrite=False
    )
    figures = draw_figures(evaluation)
    files: dict[str, bytes | str] = {
        **{f"{name}.png": data for name, data in figures.items()},
        "summary.json": json.dumps(summarise(evaluation), indent=1, allow_nan=False) + "\n",
    }
    return save_page(folder, render_report(evaluation, figures), files)


def describe_stats(evaluation: Evaluation) -> str:
    """The metrics as text: pycocotools' twelve lines for COCO, one line for VOC and darknet."""
    return evaluation.metrics.result.describe()


def describe_data(evaluation: Evaluation) -> str:
    """One line on the data: images, objects, classes, detections."""
    dataset, metrics = evaluation.dataset, evaluation.metrics
    present = int((metrics.objects > 0).sum())
    images = f"{len(dataset):,} images"
    if len(dataset) < evaluation.images:
        images = f"only the first {len(dataset):,} of {evaluation.images:,} images"
    return (
        f"{dataset.source} ({dataset.format}, {dataset.split}): {images}, "
        f"{len(dataset.objects):,} objects of {present} of {len(dataset.names)} classes; "
        f"{len(evaluation.detections):,} detections"
    )


def warnings_of(evaluation: Evaluation) -> list[str]:
    """Warnings on what was left out of the metrics, and why."""
    lines = []
    if not evaluation.metrics.objects.any():
        lines.append(
            "No object counts in what was evaluated: there is no AP, and none of the figures says"
            " how good the model is"
        )
    if evaluation.unreadable:
        shown = "; ".join(f"{path}: {why}" for path, why in evaluation.unreadable[:LISTED])
        more = "" if len(evaluation.unreadable) <= LISTED else "; …"
        lines.append(
            f"Of {len(evaluation.dataset)} images {len(evaluation.unreadable)} could not be read, "
            f"and nothing was found in them: {shown}{more}"
        )
    if errors := evaluation.dataset.errors:
        lines.append(f"Errors in the data: {len(errors)}; what they concern was left out")
    if evaluation.classes and (unknown := evaluation.classes.unknown):
        names = ", ".join(unknown)
        lines.append(f"The model does not know {names}: their objects were left out")
    return lines


_CAPTIONS = {
    "precision-recall": "Precision over recall.",
    "f1": "F1 over the score threshold.",
    "confusion": "What was taken for what.",
    "ap-by-size": "AP by size of object.",
}


def _render_confused(evaluation: Evaluation) -> list[Block]:
    """Table of the most confused pairs of classes."""
    pairs = evaluation.metrics.confusion.most_confused(20)
    if not pairs:
        return []
    return [Details("Most often confused", [Table(("is", "was taken for", "times"), pairs)])]


def _render_names(evaluation: Evaluation) -> list[Block]:
    """Table of the matched classes."""
    classes = evaluation.classes
    if classes is None:
        return []
    pairs: list[tuple[str, str | None]] = [*classes.pairs]
    pairs += [(name, None) for name in classes.unknown]
    parts: list[Block] = [Table(("in the data", "in the model"), pairs)]
    if classes.unjudged:
        names = ", ".join(classes.unjudged)
        parts.append(Text(f"Not in the data, and so left out of what was found: {names}", "note"))
    return [Details("Classes, matched by name", parts)]


def render_images(evaluation: Evaluation, scores: Iterable[ImageScore], most: int) -> Block:
    """Draw the first readable images of a ranking, for a page.

    Args:
        evaluation: of the images.
        scores: a ranking, such as `evaluation.metrics.ranking`, best first.
        most: how many to draw.
    """
    pictures: list[Picture] = []
    for one in scores:
        if len(pictures) == most:
            break
        image = draw_evaluated_image(evaluation, one.image_index)
        if image is not None:
            name = evaluation.dataset.images[one.image_index].path.name
            caption = (
                f"{name}: {one.true_positives} found, {one.false_negatives} missed, "
                f"{one.false_positives} wrong; F1 {one.f1:.2f}"
            )
            pictures.append(Picture(_to_jpeg(image), caption))
    return Gallery(pictures) if pictures else Text("None.", "note")


def _to_jpeg(image: Image) -> bytes:
    """Encode an image as JPEG, shrunk to the size that a page needs."""
    scale = min(1.0, LONGEST_SIDE / max(image.shape[:2]))
    if scale < 1:
        size = [max(1, math.floor(side * scale)) for side in (image.shape[1], image.shape[0])]
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return encode_image(image, quality=85)


def _milliseconds(evaluation: Evaluation) -> list[tuple[str, float]]:
    """Mean milliseconds of each stage."""
    seconds = asdict(evaluation.seconds)
    count = len(evaluation.dataset)
    stages = [(stage, seconds[stage] * 1e3) for stage in ("read", "preprocess", "network")]
    stages.append(("postprocess", seconds["postprocess"] * 1e3))
    stages.append(("in all, by the clock", seconds["images"] / count * 1e3))
    stages.append(("evaluation", seconds["evaluation"] / count * 1e3))
    return stages


def _corners(boxes: np.ndarray[Any, np.dtype[np.float64]]) -> Any:
    """(M, 4) left, top, width, height → xyxy."""
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
