"""Post-processing alone: scantling's, against torchvision's and OpenCV's NMS on the same numbers.

Run `python benchmarks/nms.py`; torchvision is compared where it is installed. The contenders take
turns, so that a busy machine slows all of them alike; medians of the ratios are what to look at.
"""

import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor

from scantling.postprocess import Selection, select
from scantling.structures import Candidates

try:
    import torchvision
except ImportError:
    torchvision = None

PREDICTIONS, CLASSES, ROUNDS, IOU, KEPT = 25_200, 80, 31, 0.45, 300


def crowded_image(seed: int = 0) -> Candidates:
    """40 objects with 8 to 40 overlapping boxes each, over a floor of noise, as tensors."""
    rng = np.random.default_rng(seed)
    centre, size = rng.uniform(0, 640, (PREDICTIONS, 2)), rng.uniform(8, 120, (PREDICTIONS, 2))
    scores = np.full((PREDICTIONS, CLASSES), 1e-5)
    start = 0
    for _ in range(40):
        own = slice(start, start + int(rng.integers(8, 41)))
        count = own.stop - start
        side = rng.uniform(30, 200, 2)
        centre[own] = rng.uniform(50, 590, 2) + rng.normal(0, 0.06, (count, 2)) * side
        size[own] = side * np.exp(rng.normal(0, 0.12, (count, 2)))
        scores[own] = rng.random((count, CLASSES)) * 0.004
        scores[own, rng.integers(CLASSES)] = rng.uniform(0.2, 0.95, count)
        start = own.stop
    scores[start : start + 1500] = rng.exponential(0.0004, (1500, CLASSES))
    boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
    order = rng.permutation(PREDICTIONS)
    return Candidates(
        torch.tensor(boxes[order][None], dtype=torch.float32),
        torch.tensor(scores[order][None], dtype=torch.float32),
    )


def passed(candidates: Candidates, min_score: float) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes, scores and labels above the threshold."""
    row, label = (candidates.scores[0] > min_score).nonzero(as_tuple=True)
    return candidates.boxes[0][row], candidates.scores[0][row, label], label


def by_torchvision(candidates: Candidates, min_score: float, most: int) -> int:
    boxes, scores, labels = passed(candidates, min_score)
    if len(scores) > most:
        best = scores.topk(most).indices
        boxes, scores, labels = boxes[best], scores[best], labels[best]
    return len(torchvision.ops.batched_nms(boxes, scores, labels, IOU)[:KEPT])


def by_opencv(candidates: Candidates, min_score: float) -> int:
    boxes, scores, labels = passed(candidates, min_score)
    boxes[:, 2:] -= boxes[:, :2]
    found = cv2.dnn.NMSBoxesBatched(boxes.numpy(), scores.numpy(), labels.int().numpy(), 0.0, IOU)
    return min(KEPT, len(found))


def contenders(candidates: Candidates, min_score: float) -> dict[str, Callable[[], int]]:
    """What to time, by name; each returns how many detections it found."""

    def ours(**settings: object) -> Callable[[], int]:
        chosen = Selection(min_score=min_score, iou_threshold=IOU, **settings)
        return lambda: len(select(candidates, settings=chosen)[0])

    table = {
        "scantling": ours(),
        "scantling, no limit on candidates": ours(max_candidates=10**7),
        "scantling diou": ours(nms="diou"),
        "scantling soft-linear": ours(nms="soft-linear"),
        "scantling soft-gaussian": ours(nms="soft-gaussian"),
    }
    if torchvision:
        table["torchvision"] = lambda: by_torchvision(candidates, min_score, 10**7)
        table["torchvision, best 5000"] = lambda: by_torchvision(candidates, min_score, 5000)
    if len(passed(candidates, min_score)[1]) < 10_000:  # beyond, OpenCV takes seconds
        table["opencv"] = lambda: by_opencv(candidates, min_score)
    return table


def compare(candidates: Candidates, min_score: float) -> None:
    """Time every contender, in turns, and print one line each."""
    table = contenders(candidates, min_score)
    seconds: dict[str, list[float]] = {name: [] for name in table}
    found = {name: run() for name, run in table.items()}  # a first turn that does not count
    for _ in range(ROUNDS):
        for name, run in table.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    print(f"\nscore > {min_score}: {len(passed(candidates, min_score)[1])} candidates")
    print(f"{'':36}{'ms':>8}{'(min - max)':>18}{'x ours':>8}{'found':>7}")
    for name, times in seconds.items():
        ratio = statistics.median(t / o for t, o in zip(times, seconds["scantling"], strict=True))
        spread = f"({1e3 * min(times):.2f} - {1e3 * max(times):.2f})"
        middle = 1e3 * statistics.median(times)
        print(f"{name:36}{middle:8.2f}{spread:>18}{ratio:8.2f}{found[name]:7}")


if __name__ == "__main__":
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    image = crowded_image()
    for threshold in (0.25, 0.001):
        compare(image, threshold)
