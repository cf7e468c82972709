"""How much AP one model loses against another on the same images, and how sure that is."""

from dataclasses import dataclass, replace

import numpy as np

from .coco import COCO_AREAS, evaluate_coco
from .evaluation import Metrics
from .tables import DetectionTable, Flags, GroundTruth

GROUPS = 20  # of images, each of which is left out once
NORMAL = 1.96  # standard errors on either side of a 95 % interval


@dataclass(frozen=True)
class ApLost:
    """AP that is lost, with half of its 95 % interval.

    Args:
        before: AP of the first.
        lost: how much less the second has.
        error: half of the interval, 1.96 standard errors; NaN where there are too few images.
    """

    before: float
    lost: float
    error: float

    def __str__(self) -> str:
        sure = f" ± {self.error:.4f} (95 %)" if np.isfinite(self.error) else ""
        return f"AP lost {self.lost:.4f}{sure} of {self.before:.4f}"


def compare_metrics(first: Metrics, second: Metrics) -> ApLost | None:
    """The AP that the second loses against the first, both by COCO's protocol on the same images.

    None where no object counts, so that there is no AP.

    The standard error is the jackknife's over twenty random groups of images, each left out once:
    it says how much the difference would change with other images of the same kind. Source: Efron
    and Tibshirani, An Introduction to the Bootstrap, chapter 11.
    """
    before, after = first.stats["AP"], second.stats["AP"]
    if before is None or after is None:
        return None
    truth, count = first.truth, len(first.truth.image_ids)
    parts = min(GROUPS, count)
    groups = np.random.default_rng(0).permutation(count) % max(1, parts)
    lost = np.array(
        [
            _ap(truth, first.detections, kept) - _ap(truth, second.detections, kept)
            for kept in (groups != group for group in range(parts))
        ]
    )
    error = float("nan")
    if len(lost) > 1:
        error = NORMAL * float(np.sqrt((len(lost) - 1) * lost.var()))
    return ApLost(before, before - after, error)


def describe_images(count: int, calibrated: int | None) -> str:
    """On what an AP was compared: `64 labelled images, none of them calibrated on`.

    Args:
        count: of the images.
        calibrated: how many of them INT8 was calibrated on; None where nothing was calibrated.
    """
    images = f"{count:,} labelled image{'s' if count != 1 else ''}"
    if calibrated is None:
        return images
    return f"{images}, {f'{calibrated:,}' if calibrated else 'none'} of them calibrated on"


def _ap(truth: GroundTruth, detections: DetectionTable, kept: Flags) -> float:
    """AP on some of the images."""
    objects = kept[truth.image_index]
    columns = ("boxes", "labels", "image_index", "crowd", "difficult", "areas")
    some = replace(truth, **{name: getattr(truth, name)[objects] for name in columns})
    found = detections.take(kept[detections.image_index])
    areas = {"all": COCO_AREAS["all"]}
    return float(evaluate_coco(some, found, areas=areas, max_detections=(100,)).stats["AP"])
