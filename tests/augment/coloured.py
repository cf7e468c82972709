"""Images with filled rectangles of unique colours: the pixels themselves say where a box is."""

import numpy as np

from scantling.structures import Sample

BACKGROUND = 120
# Corners of the colour cube: no blend of one with the background or another comes near a third.
COLOURS = np.array(
    [(x, y, z) for x in (0, 255) for y in (0, 255) for z in (0, 255)], dtype=np.int64
)


def draw_rectangles(
    size: tuple[int, int], rng: np.random.Generator, *, labels: tuple[int, ...] = (0, 1, 2, 3)
) -> Sample:
    """Up to four rectangles, one a quarter of the image, so that none touches another.

    Label i has `COLOURS[i]`.
    """
    height, width = size
    image = np.full((height, width, 3), BACKGROUND, np.uint8)
    boxes = []
    for place, label in enumerate(labels):
        row, column = divmod(place, 2)
        top, left = row * height // 2 + 2, column * width // 2 + 2
        tall, wide = height // 2 - 4, width // 2 - 4
        y1 = top + int(rng.integers(0, tall // 3))
        x1 = left + int(rng.integers(0, wide // 3))
        y2 = int(rng.integers(top + tall * 2 // 3, top + tall))
        x2 = int(rng.integers(left + wide * 2 // 3, left + wide))
        image[y1:y2, x1:x2] = COLOURS[label]
        boxes.append((x1, y1, x2, y2))
    return Sample(
        image=image,
        boxes=np.array(boxes, np.float32),
        labels=np.array(labels, np.int64),
        crowd=np.zeros(len(labels), np.bool_),
        image_id=7,
    )


def extent(image: np.ndarray, label: int) -> np.ndarray | None:
    """(4,) xyxy around every pixel of a label's colour; None where there is none."""
    near = (np.abs(image.astype(np.int64) - COLOURS[label]) < 56).all(axis=2)
    rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
    if not len(rows):
        return None
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float64)


def assert_boxes_match_pixels(sample: Sample, *, within: float = 1.6) -> None:
    """Each box is where its colour is; a box that was cut off by a turned edge may be larger."""
    for box, label in zip(sample.boxes, sample.labels.tolist(), strict=True):
        seen = extent(sample.image, label)
        assert seen is not None, f"label {label} has the box {box} but is not seen"
        np.testing.assert_allclose(box, seen, atol=within, err_msg=f"label {label}")


def assert_boxes_hold_pixels(sample: Sample, *, within: float = 1.6) -> int:
    """Each box holds its colour, and fits it where no edge cuts it off; returns how many fitted."""
    height, width = sample.image.shape[:2]
    fitted = 0
    for box, label in zip(sample.boxes, sample.labels.tolist(), strict=True):
        seen = extent(sample.image, label)
        if seen is None:  # only a corner of the box was left, none of the turned rectangle
            continue
        assert (seen[:2] >= box[:2] - within).all(), f"label {label}: {box} {seen}"
        assert (seen[2:] <= box[2:] + within).all(), f"label {label}: {box} {seen}"
        if (box[:2] > 0).all() and box[2] < width and box[3] < height:
            np.testing.assert_allclose(box, seen, atol=within, err_msg=f"label {label}")
            fitted += 1
    return fitted
