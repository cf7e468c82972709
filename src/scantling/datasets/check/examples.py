"""Example images of findings, with the offending box in red."""

from pathlib import Path

import cv2
import numpy as np

from ...errors import InvalidSource
from ...images.headers import is_image_suffix
from ...images.read import read_image
from ...reports import Picture
from ...reports.drawing import WHITE, draw, encode_image
from ...structures import Detections, Image
from ..dataset import Columns, Dataset
from ..findings import Finding
from .result import CheckResult, place_in

SIDE = 420  # pixels of the longer side of a drawn image: fits two in a row of a laptop's screen
MAX_PIXELS = 2**25  # of an image that is still drawn; 0.1 GiB decoded
MAX_DRAWN = 300  # boxes in one picture: more hide it
RED = (230, 30, 30)
_QUALITY = 82


def draw_example(finding: Finding, result: CheckResult) -> Picture | None:
    """Draw the image of a finding with its labels; two images side by side.

    Args:
        finding: one of the result's.
        result: of the check.

    Returns:
        None where it is about no image, or about one that cannot be shown.
    """
    path = finding.image
    if path is None and is_image_suffix(finding.file.suffix.lower()):
        path = finding.file
    image = None if path is None else _draw(path, finding, result)
    if image is None:
        return None
    other = result.others.get(finding)
    second = None if other is None else _draw(other, None, result)
    if second is not None:
        image = _side_by_side(image, second)
    line = "" if finding.line is None else f", line {finding.line}"
    item = f", {finding.item}" if finding.item else ""
    caption = f"{place_in(finding.file, result.source)}{line}{item}: {finding.message}"
    return Picture(encode_image(image, quality=_QUALITY), caption)


def _draw(path: Path, finding: Finding | None, result: CheckResult) -> Image | None:
    """An image made small, with its boxes on it; None where it cannot be read."""
    try:
        image = read_image(path, max_pixels=MAX_PIXELS)
    except InvalidSource:
        return None
    scale = min(1.0, SIDE / max(image.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    small = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    ratio = np.array([width, height, width, height]) / np.array([*image.shape[1::-1]] * 2)
    for dataset in result.datasets:
        labels = _labels_of(dataset, path, ratio, (height, width))
        if labels is not None:
            small = draw(small, labels, line_width=1, with_scores=False)
            break
    if finding is not None and finding.box is not None:
        _mark(small, np.array(finding.box) * ratio)
    return small


def _mark(image: Image, box: Columns) -> None:
    """Frame a box in red, outside of it, so that the smallest is still seen."""
    if np.isfinite(box).all():
        around = np.clip(box + np.array([-3, -3, 3, 3]), -3, max(image.shape) + 3)
        left, top, right, bottom = around.round().astype(int).tolist()
        cv2.rectangle(image, (left, top), (right, bottom), WHITE, 4)
        cv2.rectangle(image, (left, top), (right, bottom), RED, 2)


def _labels_of(
    dataset: Dataset, path: Path, ratio: Columns, image_size: tuple[int, int]
) -> Detections | None:
    """The labels of an image as something that can be drawn; None where it is not in the split."""
    index = next((n for n, image in enumerate(dataset.images) if image.path == path), None)
    if index is None:
        return None
    objects = dataset.objects_of(index).take(slice(MAX_DRAWN))
    boxes = np.asarray(objects.boxes * ratio, np.float32)
    scores = np.ones(len(objects), np.float32)
    return Detections(boxes, scores, objects.labels, dataset.names, image_size)


def _side_by_side(first: Image, second: Image) -> Image:
    height = max(first.shape[0], second.shape[0])
    padded = [
        cv2.copyMakeBorder(
            image, 0, height - image.shape[0], 0, 4, cv2.BORDER_CONSTANT, value=(255, 255, 255)
        )
        for image in (first, second)
    ]
    return np.asarray(np.concatenate(padded, axis=1), np.uint8)
