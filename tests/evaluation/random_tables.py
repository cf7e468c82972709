"""Small random truths and detections, with ties, crowds and difficult objects."""

import numpy as np

from scantling.evaluation import DetectionTable, GroundTruth


def random_tables(seed: int, *, flags: bool = True) -> tuple[GroundTruth, DetectionTable]:
    """A few images and classes; boxes lie on a coarse grid in half of the cases."""
    rng = np.random.default_rng(seed)
    images, kinds = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    objects, count = int(rng.integers(0, 25)), int(rng.integers(0, 60))
    step = rng.choice([0.01, 8.0])

    def boxes(number: int) -> np.ndarray:
        table = np.concatenate(
            [rng.uniform(0, 40, (number, 2)), rng.uniform(5, 40, (number, 2))], axis=1
        )
        return np.round(table / step) * step

    truth = GroundTruth(
        tuple(f"c{label}" for label in range(kinds)),
        tuple(range(1, kinds + 1)),
        tuple(range(images)),
        boxes(objects),
        rng.integers(0, kinds, objects),
        np.sort(rng.integers(0, images, objects)),
        (rng.random(objects) < 0.1) & flags,
        (rng.random(objects) < 0.15) & flags,
        np.ones(objects),
    )
    found = DetectionTable(
        boxes(count),
        np.round(rng.random(count), 1 if rng.random() < 0.5 else 6),
        rng.integers(0, kinds, count),
        rng.integers(0, images, count),
    )
    return truth, found


def plain_iou(
    a: list[float], b: list[float], *, crowd: bool = False, inclusive: bool = False
) -> float:
    """IoU of a detection and an object, both left, top, width, height, by the definition."""
    extra = 1 if inclusive else 0
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0]) + extra
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1]) + extra
    if width <= 0 or height <= 0:
        return 0.0
    own, other = (a[2] + extra) * (a[3] + extra), (b[2] + extra) * (b[3] + extra)
    union = own if crowd else own + other - width * height
    return width * height / union if union > 0 else 0.0
