"""Draw ground truth and detections on an image, coloured by whether they match."""

import math
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from ..reports.drawing import Color, Corners, draw_tag
from ..structures import Image

FOUND, MISSED = (0, 158, 115), (230, 159, 0)  # of objects: green, orange
RIGHT, WRONG = (0, 114, 178), (204, 30, 30)  # of detections: blue, red
LEGEND = (
    "Dashed: what the labels say, green where it was found, orange where it was missed. "
    "Solid: what was found, blue where it is right, red where it is wrong."
)


def draw_matched(
    image: Image,
    *,
    objects: NDArray[np.float64],
    object_tags: list[str],
    object_found: NDArray[np.bool_],
    detections: NDArray[np.float64],
    detection_tags: list[str],
    detection_right: NDArray[np.bool_],
) -> Image:
    """Draw objects dashed and detections solid, in the colours of `LEGEND`.

    Missed objects and wrong detections carry their tag; of a right pair the detection does.

    Args:
        image: (H, W, 3) RGB; it is left as it is.
        objects: (T, 4) xyxy in its pixels.
        object_tags: T texts.
        object_found: (T,) whether a detection belongs to it.
        detections: (M, 4) xyxy in its pixels.
        detection_tags: M texts.
        detection_right: (M,) whether it belongs to an object.

    Returns:
        A copy with the drawing on it.
    """
    canvas = np.array(image, order="C")
    size = math.sqrt(image.shape[0] * image.shape[1])
    width = max(1, round(size / 300))
    found = [FOUND if one else MISSED for one in object_found.tolist()]
    right = [RIGHT if one else WRONG for one in detection_right.tolist()]
    boxes, others = _pixels(canvas, detections), _pixels(canvas, objects)
    for (left, top, far, low), color in zip(boxes, right, strict=True):
        cv2.rectangle(canvas, (left, top), (far - 1, low - 1), color, width)
    for box, color in zip(others, found, strict=True):
        _draw_dashed(canvas, box, color, width + 1)
    height = max(8, size / 55)
    for box, color, text, known in zip(others, found, object_tags, object_found, strict=True):
        if not known:
            draw_tag(canvas, [f"missed {text}"], box, color, text_height=height)
    for box, color, text in zip(boxes, right, detection_tags, strict=True):
        draw_tag(canvas, [text], box, color, text_height=height)
    return canvas


def _pixels(canvas: Image, boxes: NDArray[np.float64]) -> list[Corners]:
    """Pixel corners of each box within the image, at least one pixel wide."""
    height, width = canvas.shape[:2]
    low = np.clip(np.floor(boxes[:, :2]), 0, [width - 1, height - 1]).astype(np.int64)
    high = np.clip(np.ceil(boxes[:, 2:]), low + 1, [width, height]).astype(np.int64)
    return [
        (left, top, right, bottom)
        for (left, top), (right, bottom) in zip(low.tolist(), high.tolist(), strict=True)
    ]


def _draw_dashed(canvas: Image, box: Corners, color: Color, width: int) -> None:
    left, top, right, bottom = box[0], box[1], box[2] - 1, box[3] - 1
    step = max(10, 5 * width, math.sqrt(canvas.shape[0] * canvas.shape[1]) / 60)
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    for (x, y), (to_x, to_y) in pairwise(corners):
        count = max(1, round(max(abs(to_x - x), abs(to_y - y)) / step))
        for place in range(count):
            start, end = place / count, (place + 0.5) / count
            cv2.line(
                canvas,
                (round(x + start * (to_x - x)), round(y + start * (to_y - y))),
                (round(x + end * (to_x - x)), round(y + end * (to_y - y))),
                color,
                width,
            )
