"""Relative errors between two outputs for the same image, and matched detections.

A relative error is the mean square of the difference over that of the signal: 0 is equality, 1 is
an error as large as the signal. In decibels it is −10 · log10(error): 20 dB is a difference of a
tenth, 60 dB one of a thousandth.
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
LEAST_ERROR = 1e-20  # 200 dB


@dataclass(frozen=True, eq=False)
class Output:
    """What a network gives for one image, decoded; of some boxes, or of all.

    Args:
        boxes: (P, 4) xyxy.
        scores: (P, K).
        raw: (C, H, W) of each output before decoding; none where it is not to be had.
    """

    boxes: FloatArray
    scores: FloatArray
    raw: tuple[FloatArray, ...] = ()


@dataclass(frozen=True, eq=False)
class DetectionArrays:
    """Detections of one image, unchecked: boxes (M, 4), scores (M,), labels (M,), best first."""

    boxes: FloatArray
    scores: FloatArray
    labels: IntArray


AnyOutput = Output | DetectionArrays
RelativeErrors = dict[str, float]  # by output: `raw`, `boxes`, `scores`; or `detections`


def relative_errors(
    reference: Output, other: Output, *, scale: Output | None = None
) -> RelativeErrors:
    """The relative error of each output; infinite where the shapes differ.

    Args:
        reference, other: for the same image.
        scale: the output that an error is relative to; `reference` if None.
    """
    by = scale or reference
    found = {
        "boxes": mean_box_error(reference.boxes, other.boxes, scale=by.boxes),
        "scores": score_error(reference.scores, other.scores, scale=by.scores),
    }
    if reference.raw and other.raw:
        found["raw"] = raw_error(reference.raw, other.raw, scale=by.raw)
    return found


def compare_outputs(
    reference: AnyOutput, other: AnyOutput, *, scale: AnyOutput | None = None
) -> RelativeErrors:
    """The relative errors between two outputs of the same form; see `relative_errors`."""
    if isinstance(reference, DetectionArrays) and isinstance(other, DetectionArrays):
        return {"detections": detection_error(reference, other)}
    if isinstance(reference, Output) and isinstance(other, Output):
        return relative_errors(reference, other, scale=scale if isinstance(scale, Output) else None)
    raise TypeError("outputs of different forms")


def mean_errors(pairs: Sequence[RelativeErrors]) -> RelativeErrors:
    """The mean over several images."""
    return {name: float(np.mean([one[name] for one in pairs])) for name in pairs[0]}


def mean_box_error(reference: FloatArray, other: FloatArray, *, scale: FloatArray) -> float:
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


def score_error(reference: FloatArray, other: FloatArray, *, scale: FloatArray) -> float:
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


def raw_error(
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


def decibels(error: float) -> float:
    """−10 · log10(error), at most 200."""
    return float(-10 * np.log10(max(error, LEAST_ERROR)))


def pair(
    first: DetectionArrays, second: DetectionArrays, *, iou: float = 0.5, by_class: bool = True
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


def detection_error(reference: DetectionArrays, other: DetectionArrays) -> float:
    """0 where the same was found, 1 where nothing of it was: boxes, classes and scores."""
    total = len(reference.scores) + len(other.scores)
    if not total:
        return 0.0
    mine, theirs, ious = pair(reference, other)
    apart = np.abs(reference.scores[mine] - other.scores[theirs]) + (1 - ious)
    return float((total - 2 * len(mine) + 2 * np.minimum(apart, 1).sum()) / total)
