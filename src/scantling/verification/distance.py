"""How far two answers to the same image are apart: shares of error energy, and decibels.

An energy of 0 is equality; 1 is an error as large as what there was to say. In decibels that is
−10 · log10(energy): 20 dB are an error of a tenth, 60 dB one of a thousandth.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..boxes import pairwise_iou
from ..structures import FloatArray, IntArray

SOFT = 1e-3  # scores nearer to 0 or 1 than this are hardly told apart
LEAST_SPREAD = 1e-4  # of values that hardly differ, so that their rounding is no large error
ROWS = 20_000  # boxes of an image that are compared
BEST = 2_000  # of these, the ones with the highest scores
NOTHING = 1e-20  # energy; 200 dB


@dataclass(frozen=True, eq=False)
class Answer:
    """What was said of one probe.

    Args:
        boxes: (P, 4) xyxy.
        scores: (P, K).
        raw: (C, H, W) of each raw output; none where they are not to be had.
    """

    boxes: FloatArray
    scores: FloatArray
    raw: tuple[FloatArray, ...] = ()


@dataclass(frozen=True, eq=False)
class Found:
    """What is left of a probe after non-maximum suppression: (M, 4), (M,), (M,), best first."""

    boxes: FloatArray
    scores: FloatArray
    labels: IntArray


Energies = dict[str, float]  # by what was compared: `raw`, `boxes`, `scores`


def energies(reference: Answer, other: Answer, *, scale: Answer | None = None) -> Energies:
    """How far `other` is from `reference`; infinite where the shapes differ.

    Args:
        reference, other: answers to the same probe.
        scale: what an error is measured by; `reference` if None.
    """
    by = scale or reference
    found = {
        "boxes": box_energy(reference.boxes, other.boxes, scale=by.boxes),
        "scores": score_energy(reference.scores, other.scores, scale=by.scores),
    }
    if reference.raw and other.raw:
        found["raw"] = raw_energy(reference.raw, other.raw, scale=by.raw)
    return found


def mean_energies(pairs: Sequence[Energies]) -> Energies:
    """The mean over several probes."""
    return {name: float(np.mean([one[name] for one in pairs])) for name in pairs[0]}


def box_energy(reference: FloatArray, other: FloatArray, *, scale: FloatArray) -> float:
    """Mean square of how far the sides of boxes are off, as a share of their length, at most 1."""
    if reference.shape != other.shape:
        return float("inf")
    errors = box_errors(reference, other, scale=scale)
    return float(np.mean(np.square(errors))) if len(reference) else 0.0


def box_errors(reference: FloatArray, other: FloatArray, *, scale: FloatArray) -> FloatArray:
    """(P,) mean distance of the four sides over the mean side of `scale`, at most 1."""
    wide = scale.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        length = np.abs(wide[:, 2:] - wide[:, :2]).mean(axis=1) + 1
        apart = np.where(reference == other, 0, reference.astype(np.float64) - other)
        error = np.abs(apart).mean(axis=1) / length
    return np.asarray(np.minimum(np.nan_to_num(error, nan=1.0, posinf=1.0), 1), np.float32)


def score_energy(reference: FloatArray, other: FloatArray, *, scale: FloatArray) -> float:
    """Mean square of the difference over the spread, on a scale on which 1e-2 counts as 0.1 does.

    That scale is the logit, bent so that scores below a thousandth are alike. The spread is what
    remains after each class's own mean is taken out: what depends on the image and the place.
    """
    if reference.shape != other.shape:
        return float("inf")
    if not reference.size:
        return 0.0
    usual = soft_logit(scale)
    spread = np.square(usual - usual.mean(axis=0)).mean()
    error = soft_logit(other) - soft_logit(reference)
    energy = np.square(np.nan_to_num(error, nan=10.0)).mean()
    return float(energy / max(spread, LEAST_SPREAD**2))


def soft_logit(scores: FloatArray) -> FloatArray:
    """log(s / (1 − s)), bent near 0 and 1; a score outside of 0 to 1 stays as strange as it is."""
    with np.errstate(invalid="ignore", over="ignore"):
        inside = np.clip(scores, 0, 1)
        bent = np.log((inside + SOFT) / (1 - inside + SOFT))
        return np.asarray(bent + np.clip(scores - inside, -50, 50), np.float32)


def raw_energy(
    reference: Sequence[FloatArray], other: Sequence[FloatArray], *, scale: Sequence[FloatArray]
) -> float:
    """The worst output's mean square error over its spread, each channel's mean taken out."""
    if [one.shape for one in reference] != [one.shape for one in other]:
        return float("inf")
    worst = 0.0
    for expected, given, usual in zip(reference, other, scale, strict=True):
        spread = np.square(usual - usual.mean(axis=(1, 2), keepdims=True)).mean()
        error = np.nan_to_num(given - expected, nan=1e3, posinf=1e3, neginf=-1e3)
        worst = max(worst, float(np.square(error).mean() / max(spread, LEAST_SPREAD**2)))
    return worst


def choose_rows(scores: FloatArray) -> IntArray:
    """Ascending places of the boxes that are compared: the best, and some from everywhere."""
    count = len(scores)
    if count <= ROWS:
        return np.arange(count)
    best = np.argpartition(scores.max(axis=1), count - BEST)[count - BEST :]
    spread = np.linspace(0, count - 1, ROWS - BEST).astype(np.int64)
    return np.union1d(best, spread)


def decibels(energy: float) -> float:
    """−10 · log10(energy), at most 200."""
    return float(-10 * np.log10(max(energy, NOTHING)))


def pair(
    first: Found, second: Found, *, iou: float = 0.5, by_class: bool = True
) -> tuple[IntArray, IntArray, FloatArray]:
    """Match detections one to one, those that overlap most first.

    Args:
        first, second: of the same image.
        iou: the least overlap.
        by_class: only those of the same class.

    Returns:
        Places in the first, places in the second, and the overlap of each pair.
    """
    overlap: FloatArray = pairwise_iou(first.boxes, second.boxes)
    if by_class:
        overlap = np.where(first.labels[:, None] == second.labels[None, :], overlap, 0)
    rows, columns = np.nonzero(overlap >= iou)
    order = np.argsort(-overlap[rows, columns], kind="stable")
    free_rows, free_columns = np.ones(len(first.boxes), bool), np.ones(len(second.boxes), bool)
    kept: list[tuple[int, int]] = []
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if free_rows[row] and free_columns[column]:
            free_rows[row] = free_columns[column] = False
            kept.append((row, column))
    places = np.array(kept, np.int64).reshape(-1, 2)
    ious = np.asarray(overlap[places[:, 0], places[:, 1]], np.float32)
    return places[:, 0], places[:, 1], ious


def found_energy(reference: Found, other: Found) -> float:
    """0 where the same was found, 1 where nothing of it was: boxes, classes and scores."""
    total = len(reference.scores) + len(other.scores)
    if not total:
        return 0.0
    mine, theirs, ious = pair(reference, other)
    apart = np.abs(reference.scores[mine] - other.scores[theirs]) + (1 - ious)
    return float((total - 2 * len(mine) + 2 * np.minimum(apart, 1).sum()) / total)
