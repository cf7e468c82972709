"""Candidates above the threshold, looked for where they live and brought over in one piece."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from ..structures import FloatArray, IntArray

if TYPE_CHECKING:
    from torch import Tensor

WIDE = 32  # classes from which on a reduction by OpenCV pays


def rows_of_arrays(
    boxes: FloatArray, scores: FloatArray, limits: FloatArray, _: int
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Boxes with a score above the limit of its class, their scores, and the image of each."""
    classes = scores.shape[2]
    passed = scores.astype(np.float32, copy=False) > limits
    row = _rows_with_any(passed.reshape(-1, classes))
    return (
        boxes.reshape(-1, 4).take(row, axis=0).astype(np.float32, copy=False),
        scores.reshape(-1, classes).take(row, axis=0).astype(np.float32, copy=False),
        row // max(1, boxes.shape[1]),
    )


def _rows_with_any(passed: NDArray[np.bool_]) -> IntArray:
    """The rows in which anything is true."""
    if passed.shape[1] >= WIDE and len(passed):  # several times faster than looking at each
        bits = np.ascontiguousarray(passed).view(np.uint8)
        return np.flatnonzero(np.asarray(cv2.reduce(bits, 1, cv2.REDUCE_MAX)))
    row: IntArray = np.flatnonzero(passed) // passed.shape[1]
    return row[np.diff(row, prepend=-1) > 0]


def rows_of_tensors(
    boxes: Tensor, scores: Tensor, limits: FloatArray, max_candidates: int
) -> tuple[FloatArray, FloatArray, IntArray]:
    """The same, found on the tensors' device and brought over in one piece.

    On a processor numpy looks at the very same memory.
    """
    import torch

    if boxes.device.type == scores.device.type == "cpu" and scores.dtype == torch.float32:
        return rows_of_arrays(boxes.detach().float().numpy(), scores.detach().numpy(), limits, 0)
    allowed = scores.detach()
    min_score = float(limits.min())
    if len(limits) > 1:  # what no class allows counts for less than any score
        least = torch.from_numpy(limits).to(scores.device)
        allowed = torch.where(allowed.float() > least, allowed.float(), -1)
        min_score = 0.0
    best = allowed.amax(-1).float()
    passed = ~(best <= min_score)  # a NaN passes: it may hide a good score of another class
    image, row = passed.nonzero(as_tuple=True)
    most = min(max_candidates, best.shape[1])
    if len(row) > most:  # only boxes among an image's best can hold its best candidates
        sound = torch.isfinite(best) & torch.isfinite(boxes).all(-1)
        ordered = torch.where(passed & sound, best, 0).topk(most, 1)
        passed &= (best >= ordered.values[:, -1:]) | ~sound
        image, row = passed.nonzero(as_tuple=True)
    parts = [boxes.detach()[image, row], scores.detach()[image, row], image[:, None]]
    rows = torch.cat([part.float() for part in parts], 1).cpu().numpy()
    return rows[:, :4], rows[:, 4:-1], rows[:, -1].astype(np.int64)
