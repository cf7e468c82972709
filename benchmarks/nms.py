"""Post-processing alone: scantling's, against what others make of the same numbers.

Run `python benchmarks/nms.py`; torchvision and ultralytics are compared where they are installed.
The contenders take turns, so that a busy machine slows all of them alike; medians of the ratios are
what to look at. `same` tells whether the boxes and their scores are those that scantling keeps.
"""

import os
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scantling.postprocess import Selection, select
from scantling.structures import Candidates

try:
    import torchvision
except ImportError:
    torchvision = None
try:
    from ultralytics.utils.nms import non_max_suppression
except ImportError:
    non_max_suppression = None

PREDICTIONS, CLASSES, IOU, KEPT = 25_200, 80, 0.45, 300
PAUSE = 0.02  # seconds, in which the threads of the one before stop spinning
ROUNDS = int(os.environ.get("ROUNDS", "31"))
Found = NDArray[np.float32]  # (M, 5): box and score, best first


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


def passed(candidates: Candidates, min_score: float, every: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes, scores and labels above the threshold, of every class or of the best alone."""
    boxes, scores = candidates.boxes[0], candidates.scores[0]
    if every:
        row, label = (scores > min_score).nonzero(as_tuple=True)
        return boxes[row], scores[row, label], label
    best, label = scores.max(1)
    row = (best > min_score).nonzero()[:, 0]
    return boxes[row], best[row], label[row]


def by_torchvision(candidates: Candidates, min_score: float, every: bool, most: int) -> Found:
    """The filter in torch, then `batched_nms`."""
    boxes, scores, labels = passed(candidates, min_score, every)
    if len(scores) > most:
        best = scores.topk(most).indices
        boxes, scores, labels = boxes[best], scores[best], labels[best]
    kept = torchvision.ops.batched_nms(boxes, scores, labels, IOU)[:KEPT]
    return torch.cat([boxes[kept], scores[kept, None]], 1).numpy()


def by_opencv(candidates: Candidates, min_score: float, every: bool) -> Found:
    """The filter in torch, then `NMSBoxesBatched`."""
    boxes, scores, labels = passed(candidates, min_score, every)
    sides = torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1).numpy()
    kept = cv2.dnn.NMSBoxesBatched(sides, scores.numpy(), labels.int().numpy(), 0.0, IOU)[:KEPT]
    return torch.cat([boxes[kept], scores[kept, None]], 1).numpy()


def as_others_take_it(candidates: Candidates) -> Tensor:
    """(1, 4 + K, P): centres, sides and scores, as ultralytics' networks give them."""
    boxes = candidates.boxes[0]
    centre, side = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    return torch.cat([centre, side, candidates.scores[0]], 1).T.contiguous()[None]


def contenders(
    candidates: Candidates, min_score: float, every: bool
) -> dict[str, Callable[[], Found]]:
    """What to time, by name; each returns the boxes that it found, with their scores."""
    arrays = Candidates(candidates.boxes.numpy(), candidates.scores.numpy())

    def ours(given: Candidates, **settings: object) -> Callable[[], Found]:
        chosen = Selection(min_score=min_score, iou_threshold=IOU, multi_label=every, **settings)

        def run() -> Found:
            found = select(given, settings=chosen)[0]
            return np.column_stack([found.boxes, found.scores])

        return run

    table = {
        "scantling, tensors": ours(candidates),
        "scantling, arrays": ours(arrays),
        "scantling, no limit on candidates": ours(arrays, max_candidates=10**7),
        "scantling diou": ours(arrays, nms="diou"),
        "scantling soft-linear": ours(arrays, nms="soft-linear"),
        "scantling soft-gaussian": ours(arrays, nms="soft-gaussian"),
    }
    if torchvision:
        table["torchvision"] = lambda: by_torchvision(candidates, min_score, every, 10**7)
        table["torchvision, best 5000"] = lambda: by_torchvision(candidates, min_score, every, 5000)
    if non_max_suppression:
        raw = as_others_take_it(candidates)

        def by_ultralytics(**settings: int) -> Found:
            given = raw.clone()  # it may write into it
            found = non_max_suppression(
                given, min_score, IOU, multi_label=every, max_det=KEPT, max_time_img=60, **settings
            )
            return found[0][:, :5].numpy()

        table["ultralytics"] = by_ultralytics
        table["ultralytics, best 5000"] = lambda: by_ultralytics(max_nms=5000)
    if len(passed(candidates, min_score, every)[1]) < 10_000:  # beyond, OpenCV takes seconds
        table["opencv"] = lambda: by_opencv(candidates, min_score, every)
    return table


def is_same(found: Found, other: Found) -> bool:
    """Whether both are the same boxes, to what another coding of boxes rounds away."""
    return found.shape == other.shape and np.allclose(found, other, atol=1e-3, rtol=0)


def compare(candidates: Candidates, min_score: float, every: bool) -> None:
    """Time every contender, in turns, and print one line each."""
    table = contenders(candidates, min_score, every)
    seconds: dict[str, list[float]] = {name: [] for name in table}
    found = {name: run() for name, run in table.items()}  # a first turn that does not count
    for _ in range(ROUNDS):
        for name, run in table.items():
            time.sleep(PAUSE)
            run()  # of two in a row the second counts: caches and threads are its own
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    base, count = seconds["scantling, tensors"], len(passed(candidates, min_score, every)[1])
    labels = "every class" if every else "best class"
    print(f"\nscore > {min_score}, {labels}: {count} candidates")
    print(f"{'':36}{'ms':>8}{'(min - max)':>18}{'x ours':>8}{'found':>7}  same")
    for name, times in seconds.items():
        ratio = statistics.median(t / o for t, o in zip(times, base, strict=True))
        spread = f"({1e3 * min(times):.2f} - {1e3 * max(times):.2f})"
        same = "yes" if is_same(found[name], found["scantling, tensors"]) else "no"
        middle = 1e3 * statistics.median(times)
        print(f"{name:36}{middle:8.2f}{spread:>18}{ratio:8.2f}{len(found[name]):7}  {same}")


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("THREADS", "2")))
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    image = crowded_image()
    for threshold, every_class in ((0.25, False), (0.25, True), (0.001, False), (0.001, True)):
        compare(image, threshold, every_class)
