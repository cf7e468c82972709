"""An evaluation as files: figures, one HTML page with drawn images, results and summary."""

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
from ..images.paths import OUTPUT_MARK
from ..io import unused, write_file
from ..reports import Block, Details, Gallery, Heading, Picture, Table, Text, render_page
from ..structures import Image
from .coco import CocoResult, format_coco_block
from .figures import draw_bars, draw_confusion, draw_f1, draw_precision_recall
from .judge import MATCH_IOU
from .outcome import Evaluation
from .pictures import LEGEND, draw_judged
from .results import write_results
from .tables import RECALLS, ap_by_size, class_table, mean_precision
from .worst import ImageScore

BEST, WORST = 6, 12  # images that are drawn
LISTED = 10  # images that could not be read
LONGEST_SIDE = 900  # pixels of a drawn image in the page
SCORES = np.linspace(0, 1, 201)


def summarise(evaluation: Evaluation) -> dict[str, Any]:
    """Everything but the detections as plain values, ready for JSON."""
    judged, dataset, classes = evaluation.judged, evaluation.dataset, evaluation.classes
    columns, rows = class_table(judged)
    best = judged.curves.overall
    names = None
    if classes is not None:
        names = {
            "pairs": dict(classes.pairs),
            "not_in_data": list(classes.unjudged),
            "not_in_model": list(classes.unknown),
        }
    return {
        "figures": judged.figures,
        "protocol": {"line": evaluation.protocol_line, **asdict(judged.protocol)},
        "best_f1": {"score": best.best_score, "f1": best.best_f1, "iou": MATCH_IOU},
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
        "detections": len(evaluation.found),
        "unreadable": [{"path": path, "problem": why} for path, why in evaluation.unreadable],
        "seconds": asdict(evaluation.seconds),
    }


def draw_figures(evaluation: Evaluation) -> dict[str, bytes]:
    """The figures as PNG files, by name."""
    judged = evaluation.judged
    curves = judged.curves
    figures = {
        "precision-recall": draw_precision_recall(
            RECALLS,
            mean_precision(judged),
            iou_thresholds=judged.protocol.ious,
            title="Precision over recall, mean of the classes",
        ),
        "f1": draw_f1(
            SCORES,
            np.stack([curve.at(SCORES)[2] for curve in curves.classes]),
            overall=curves.overall.at(SCORES)[2],
            names=judged.truth.names,
            best=(judged.best_score, curves.overall.best_f1),
            title=f"F1 at IoU {MATCH_IOU:.2f}",
        ),
        "confusion": draw_confusion(
            judged.confusion.counts,
            names=judged.truth.names,
            title=f"Confusion at IoU {MATCH_IOU:.2f}, scores from {judged.best_score:.3f}",
        ),
    }
    values, counts = ap_by_size(judged)
    if values:
        title = "AP by area: up to 32², to 96², above (pixels)"
        figures["ap-by-size"] = draw_bars(values, counts=counts, title=title)
    return figures


def draw_image(evaluation: Evaluation, index: int) -> Image | None:
    """An image of the data with its objects and what was found; None if it cannot be read.

    Only detections from the best threshold on are drawn; crowds, difficult objects, and what lies
    on them are not.
    """
    judged = evaluation.judged
    truth, found, matching = judged.truth, judged.found, judged.matching
    try:
        image = read_image(evaluation.dataset.images[index].path)
    except InvalidSource:
        return None
    own = (truth.image_index == index) & ~truth.ignored
    counted = (found.scores >= judged.best_score) & ~matching.ignored
    seen = np.flatnonzero((found.image_index == index) & counted)
    reached = np.isin(np.flatnonzero(own), matching.object_of[seen])
    return draw_judged(
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
        detection_right=matching.right[seen],
    )


def render_report(evaluation: Evaluation, figures: dict[str, bytes]) -> str:
    """One HTML page that holds everything, images included."""
    judged, dataset = evaluation.judged, evaluation.dataset
    columns, rows = class_table(judged)
    parts: list[Block] = [
        Text(describe_data(evaluation)),
        Text(evaluation.protocol_line, "note"),
        *[Text(line, "look") for line in warnings_of(evaluation)],
        Heading("Figures"),
        Text(describe_figures(evaluation), "code"),
        *[Picture(data, _CAPTIONS[name]) for name, data in figures.items()],
        Heading("Classes"),
        Table(columns, rows, "Threshold: where the F1 of the class is highest, at IoU 0.50."),
        *_render_confused(evaluation),
        *_render_names(evaluation),
        Heading("Images"),
        Text(LEGEND),
        Text(
            f"Detections from score {judged.best_score:.3f} on, where F1 over all classes is the "
            "highest; crowds, difficult objects and what lies on them are not drawn.",
            "note",
        ),
        Heading("Worst", 3),
        render_images(evaluation, [one for one in reversed(judged.ranking) if one.f1 < 1], WORST),
        Heading("Best", 3),
        render_images(evaluation, [one for one in judged.ranking if one.hits], BEST),
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
    folder.mkdir(parents=True, exist_ok=True)
    if not any(folder.iterdir()):  # else it may be the user's own, with images in it
        (folder / OUTPUT_MARK).touch()
    write_results(unused(folder / "results.json"), evaluation.found, evaluation.judged.truth)
    figures = draw_figures(evaluation)
    files = {f"{name}.png": data for name, data in figures.items()}
    files["summary.json"] = (
        json.dumps(summarise(evaluation), indent=1, allow_nan=False) + "\n"
    ).encode()
    page = unused(folder / "report.html")
    files[page.name] = render_report(evaluation, figures).encode()
    for name, data in files.items():
        write_file(folder / name, data, overwrite=False)
    return page


def describe_figures(evaluation: Evaluation) -> str:
    """COCO's own twelve lines; of the other protocols one line."""
    result = evaluation.result
    if isinstance(result, CocoResult):
        return format_coco_block(result).rstrip("\n")
    known = sum(value is not None for value in evaluation.judged.class_ap)
    return f" mAP@{result.iou:.2f} = {result.mean_ap:.4f}, the mean of {known} classes"


def describe_data(evaluation: Evaluation) -> str:
    """What was evaluated on, in one line."""
    dataset, judged = evaluation.dataset, evaluation.judged
    present = int((judged.objects > 0).sum())
    images = f"{len(dataset):,} images"
    if len(dataset) < evaluation.images:
        images = f"only the first {len(dataset):,} of {evaluation.images:,} images"
    return (
        f"{dataset.source} ({dataset.format}, {dataset.split}): {images}, "
        f"{len(dataset.objects):,} objects of {present} of {len(dataset.names)} classes; "
        f"{len(evaluation.found):,} detections"
    )


def warnings_of(evaluation: Evaluation) -> list[str]:
    """What a reader of the figures must know: what was left out, and why."""
    lines = []
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
    """The pairs of classes that are taken for one another most often."""
    pairs = evaluation.judged.confusion.most_confused(20)
    if not pairs:
        return []
    return [Details("Most often confused", [Table(("is", "was taken for", "times"), pairs)])]


def _render_names(evaluation: Evaluation) -> list[Block]:
    """Which class of the data is which of the model."""
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
    """The first images of a ranking that can be read, drawn, for a page.

    Args:
        evaluation: of the images.
        scores: a ranking, such as `evaluation.judged.ranking`, best first.
        most: how many to draw.
    """
    pictures: list[Picture] = []
    for one in scores:
        if len(pictures) == most:
            break
        image = draw_image(evaluation, one.image_index)
        if image is not None:
            name = evaluation.dataset.images[one.image_index].path.name
            caption = (
                f"{name}: {one.hits} found, {one.misses} missed, {one.false_alarms} wrong; "
                f"F1 {one.f1:.2f}"
            )
            pictures.append(Picture(_to_jpeg(image), caption))
    return Gallery(pictures) if pictures else Text("None.", "note")


def _to_jpeg(image: Image) -> bytes:
    """The image as a JPEG file in memory, not larger than a page needs."""
    scale = min(1.0, LONGEST_SIDE / max(image.shape[:2]))
    if scale < 1:
        size = [max(1, math.floor(side * scale)) for side in (image.shape[1], image.shape[0])]
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return data.tobytes()


def _milliseconds(evaluation: Evaluation) -> list[tuple[str, float]]:
    """The stages of an image, and what evaluation took for each."""
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
