"""Draw detections on their image, and crop them out of it."""

import colorsys
import math
from collections.abc import Sequence

import cv2
import numpy as np

from ..errors import InvalidValue
from ..structures import Detections, Image

Color = tuple[int, int, int]  # red, green, blue
Corners = tuple[int, int, int, int]  # left, top, right, bottom; right and bottom excluded

FONT = cv2.FONT_HERSHEY_SIMPLEX
FONT_HEIGHT = 22  # pixels of a capital letter at scale 1
GOLDEN = (math.sqrt(5) - 1) / 2  # steps of this share of a circle never come near one another
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


def draw(
    image: Image,
    detections: Detections,
    *,
    line_width: int | None = None,
    with_scores: bool = True,
    large_tags: bool = True,
) -> Image:
    """Draw each object's box, and on it a tag with its class and score.

    Better objects lie on top. A tag stays inside the picture; if too wide for it, it loses the
    score or is left out, as it is if it would hide most of a low picture. Letters beyond ASCII show
    as `?`.

    Args:
        image: (H, W, 3) RGB; it is left as it is.
        detections: what was found in it.
        line_width: in pixels; None for one that fits the size of the image.
        with_scores: put the score behind the name.
        large_tags: also where a tag is larger than its box, and so hides what lies around it.

    Returns:
        A copy with the drawing on it.

    Raises:
        InvalidValue: the detections belong to an image of another size.
    """
    boxes = _pixels(image, detections)
    canvas = np.array(image, order="C")
    size = math.sqrt(image.shape[0] * image.shape[1])
    width = line_width or max(1, round(size / 300))
    shown = [
        (box, detections.names[label], score, class_color(label))
        for box, label, score in zip(
            boxes, detections.labels.tolist(), detections.scores.tolist(), strict=True
        )
        if box[0] < box[2] and box[1] < box[3]
    ][::-1]
    for (left, top, right, bottom), _, _, color in shown:
        cv2.rectangle(canvas, (left, top), (right - 1, bottom - 1), color, width)
    for box, name, score, color in shown:
        texts = [f"{name} {score:.2f}", name] if with_scores else [name]
        room = math.inf if large_tags else (box[2] - box[0]) * (box[3] - box[1])
        draw_tag(canvas, texts, box, color, text_height=max(8, size / 55), most_area=room)
    return canvas


def crop(image: Image, detections: Detections) -> list[Image]:
    """Cut out each object: every pixel that its box touches.

    Args:
        image: (H, W, 3).
        detections: what was found in it.

    Returns:
        A copy (h, w, 3) of each; without pixels where the box lies outside the image.

    Raises:
        InvalidValue: the detections belong to an image of another size.
    """
    return [
        image[top:bottom, left:right].copy()
        for left, top, right, bottom in _pixels(image, detections)
    ]


def class_color(label: int) -> Color:
    """The colour of a class: always the same, and unlike that of any other of the first hundred."""
    hue = (0.02 + label * GOLDEN) % 1
    saturation = (0.9, 0.6, 0.75)[label % 3]
    value = (1.0, 0.75)[label % 2]
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def _pixels(image: Image, detections: Detections) -> list[Corners]:
    """The pixels that each box touches, within the image."""
    height, width = detections.image_size
    if image.shape != (height, width, 3):
        raise InvalidValue("image", list(image.shape), f"{[height, width, 3]}, as was detected in")
    edge = np.array([width, height, width, height], np.float32)
    inside = np.clip(detections.boxes, 0, edge)
    low = np.floor(inside[:, :2]).astype(np.int64)
    high = np.ceil(inside[:, 2:]).astype(np.int64)
    return [
        (left, top, right, bottom)
        for (left, top), (right, bottom) in zip(low.tolist(), high.tolist(), strict=True)
    ]


def draw_tag(
    canvas: Image,
    texts: Sequence[str],
    box: Corners,
    color: Color,
    *,
    text_height: float,
    most_area: float = math.inf,
) -> None:
    """Write the first of the texts that fits onto a filled tag over the box, or in its top.

    Args:
        canvas: (H, W, 3), which is drawn on.
        texts: the one wished for first; where none fits, nothing is drawn.
        box: in pixels, within the canvas.
        color: of the tag.
        text_height: of a capital letter, in pixels.
        most_area: of a tag, in square pixels.
    """
    scale = text_height / FONT_HEIGHT
    stroke = max(1, round(1.6 * scale))
    margin = max(2, round(text_height / 4))
    left, top = box[:2]
    for text in texts:
        plain = text.encode("ascii", "replace").decode()
        (wide, high), below = cv2.getTextSize(plain, FONT, scale, stroke)
        tag_width, tag_height = wide + 2 * margin, high + below + margin
        fits = tag_width <= canvas.shape[1] and 4 * tag_height <= canvas.shape[0]
        if fits and tag_width * tag_height <= most_area:
            x = min(left, canvas.shape[1] - tag_width)
            y = top - tag_height if top >= tag_height else min(top, canvas.shape[0] - tag_height)
            corner = (x + tag_width - 1, y + tag_height - 1)
            cv2.rectangle(canvas, (x, y), corner, color, cv2.FILLED)
            ink = BLACK if np.dot(color, (0.299, 0.587, 0.114)) > 140 else WHITE
            start = (x + margin, y + margin // 2 + high)
            cv2.putText(canvas, plain, start, FONT, scale, ink, stroke, cv2.LINE_AA)
            return


def encode_image(image: Image, suffix: str = ".jpg", *, quality: int = 95) -> bytes:
    """An image as a file of a kind.

    Args:
        image: (H, W, 3) uint8, RGB.
        suffix: of the kind, such as `.jpg` or `.png`.
        quality: of a JPEG, 0 to 100.

    Raises:
        InvalidValue: no kind has this suffix, or it cannot hold such an image.
    """
    jpeg = suffix.lower() in (".jpg", ".jpeg")
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if jpeg else []
    try:
        worked, data = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    except cv2.error:
        worked = False
    if not worked:
        height, width = image.shape[:2]
        given = f"{suffix or 'no suffix'}, an image of {width} × {height} pixels"
        raise InvalidValue("A picture to write", given, "a suffix such as .png or .jpg, and pixels")
    return bytes(data)
