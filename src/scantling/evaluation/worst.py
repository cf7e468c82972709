"""Which images the model does best and worst on."""

from dataclasses import dataclass

import numpy as np

from .found import Found
from .matching import Matching
from .truth import Truth


@dataclass(frozen=True)
class ImageScore:
    """How one image went, at a score threshold.

    Args:
        image_index: the place of the image in the data set.
        hits: objects found.
        misses: objects not found.
        false_alarms: detections of nothing.
    """

    image_index: int
    hits: int
    misses: int
    false_alarms: int

    @property
    def f1(self) -> float:
        """2 hits / (2 hits + misses + false alarms); 1 where there was nothing to find or tell."""
        total = 2 * self.hits + self.misses + self.false_alarms
        return 2 * self.hits / total if total else 1.0


def rank_images(
    truth: Truth, found: Found, matching: Matching, *, min_score: float
) -> list[ImageScore]:
    """All images, the best first; the worst are at the end.

    The criterion is the F1 of the image at the threshold, `Curve.best_score` say; of equals the one
    with more objects found is better, then the one with fewer mistakes. An image with nothing in it
    and nothing found is right, but comes after those where something was found.

    Args:
        truth: what is labelled.
        found: what was detected.
        matching: of the two.
        min_score: detections below do not count.
    """
    counted = found.scores >= min_score
    images = len(truth.image_ids)
    hits = np.bincount(found.image_index[matching.right & counted], minlength=images)
    alarms = np.bincount(found.image_index[matching.wrong & counted], minlength=images)
    objects = np.bincount(truth.image_index[~truth.ignored], minlength=images)
    columns = (hits.tolist(), (objects - hits).tolist(), alarms.tolist())
    scores = [ImageScore(index, *row) for index, row in enumerate(zip(*columns, strict=True))]
    return sorted(
        scores, key=lambda one: (-one.f1, -one.hits, one.misses + one.false_alarms, one.image_index)
    )
