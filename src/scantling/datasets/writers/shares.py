"""Boxes as lines of text: class, then normalised centre, width and height."""

from itertools import pairwise

import numpy as np

from .values import SplitPlan

# Digits after the point. Half a unit of the last is 5e-9 pixels in an image 10,000 pixels wide, so
# that COCO → YOLO → COCO gives the same numbers.
DIGITS = 12


def label_texts(split: SplitPlan) -> list[str]:
    """The content of the label file of each image; empty where it has no objects.

    Args:
        split: its boxes lie within their images.
    """
    objects = split.objects
    shares = objects.boxes / split.sizes()
    low, high = shares[:, :2], shares[:, 2:]
    rows = np.concatenate([(low + high) / 2, high - low], axis=1).tolist()
    lines = [
        " ".join([str(label), *map(_plain, row)]) + "\n"
        for label, row in zip(objects.labels.tolist(), rows, strict=True)
    ]
    bounds = split.bounds()
    return ["".join(lines[start:end]) for start, end in pairwise(bounds)]


def _plain(share: float) -> str:
    """Without exponent and without zeros at the end: 0.25, 1, 0.000001."""
    return f"{share:.{DIGITS}f}".rstrip("0").rstrip(".")
