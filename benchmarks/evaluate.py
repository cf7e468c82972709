"""Evaluation alone: scantling's COCO figures, against pycocotools and plain faster-coco-eval.

Run `python benchmarks/evaluate.py`: 5,000 images with 100 detections each, made up from a seed, are
written as annotations and results, and each contender reads both files and evaluates, in a process
of its own so that its peak of memory is its own. The contenders take turns, so that a busy machine
slows all of them alike; medians of the ratios are what to look at, first those of processor time.
"""

import contextlib
import io
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

IMAGES, DETECTIONS, CLASSES, ROUNDS = 5_000, 100, 80, 3


def write_case(folder: Path, *, images: int = IMAGES, seed: int = 0) -> None:
    """About 7 objects an image, most of them found, and noise up to 100 detections."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(7, images)
    image = np.repeat(np.arange(images), counts)
    corner, side = rng.uniform(0, 500, (len(image), 2)), np.exp(rng.normal(4, 1, (len(image), 2)))
    boxes = np.round(np.concatenate([corner, side], axis=1), 2)
    labels = rng.geometric(0.06, len(image)) % CLASSES
    crowd = rng.random(len(image)) < 0.01
    annotations = [
        {
            "id": place + 1,
            "image_id": int(image[place]) + 1,
            "category_id": int(labels[place]) + 1,
            "bbox": boxes[place].tolist(),
            "area": float(boxes[place, 2] * boxes[place, 3] * 0.7),
            "iscrowd": int(crowd[place]),
        }
        for place in range(len(image))
    ]
    document = {
        "images": [
            {"id": index + 1, "file_name": f"{index}.jpg", "height": 640, "width": 640}
            for index in range(images)
        ],
        "categories": [{"id": index + 1, "name": f"class {index}"} for index in range(CLASSES)],
        "annotations": annotations,
    }
    (folder / "annotations.json").write_text(json.dumps(document))

    results = []
    starts = np.cumsum(counts) - counts
    for index in range(images):
        source = np.full(DETECTIONS, -1)
        if counts[index]:
            near = rng.random(DETECTIONS) < 0.4
            source[near] = starts[index] + rng.integers(0, counts[index], int(near.sum()))
        table = rng.uniform(0, 300, (DETECTIONS, 4))
        table[source >= 0] = boxes[source[source >= 0]] * rng.normal(
            1, 0.07, (int((source >= 0).sum()), 4)
        )
        kinds = np.where(source >= 0, labels[source], rng.geometric(0.06, DETECTIONS) % CLASSES)
        scores = np.where(source >= 0, rng.beta(3, 2, DETECTIONS), rng.beta(1, 6, DETECTIONS))
        results += [
            {"image_id": index + 1, "category_id": kind + 1, "bbox": box, "score": score}
            for kind, box, score in zip(
                kinds.tolist(),
                np.round(table, 3).tolist(),
                np.round(scores, 5).tolist(),
                strict=True,
            )
        ]
    (folder / "results.json").write_text(json.dumps(results))


def by_scantling(folder: Path) -> tuple[list[float], dict[str, float]]:
    from scantling.datasets.dataset import Dataset, LabelledImage, make_objects
    from scantling.evaluation import evaluate_coco, make_ground_truth, read_results

    start = time.perf_counter()
    document = json.loads((folder / "annotations.json").read_bytes())
    rows = document["annotations"]
    boxes = np.array([row["bbox"] for row in rows])
    boxes[:, 2:] += boxes[:, :2]
    ids = [category["id"] for category in document["categories"]]
    data = Dataset(
        folder,
        "coco",
        "val",
        tuple(category["name"] for category in document["categories"]),
        tuple(ids),
        tuple(
            LabelledImage(Path(one["file_name"]), one["id"], (one["height"], one["width"]))
            for one in document["images"]
        ),
        make_objects(
            boxes,
            [row["category_id"] - 1 for row in rows],
            [row["image_id"] - 1 for row in rows],
            crowd=[bool(row["iscrowd"]) for row in rows],
            areas=[row["area"] for row in rows],
        ),
    )
    del document, rows
    truth = make_ground_truth(data)
    found = read_results(folder / "results.json", truth)
    read = time.perf_counter()
    stats = evaluate_coco(truth, found).stats
    return list(stats.values()), {"read": read - start, "evaluate": time.perf_counter() - read}


def by_classes(
    folder: Path, coco: type, evaluator: type, **options: object
) -> tuple[list[float], dict[str, float]]:
    """The interface that pycocotools and faster-coco-eval share."""
    start = time.perf_counter()
    labelled = coco(str(folder / "annotations.json"))
    detected = labelled.loadRes(str(folder / "results.json"))
    read = time.perf_counter()
    judge = evaluator(labelled, detected, "bbox", **options)
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    spent = {"read": read - start, "evaluate": time.perf_counter() - read}
    return [float(value) for value in judge.stats[:12]], spent


def by_pycocotools(folder: Path) -> tuple[list[float], dict[str, float]]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    return by_classes(folder, COCO, COCOeval)


def by_faster_coco_eval(folder: Path) -> tuple[list[float], dict[str, float]]:
    from faster_coco_eval import COCO, COCOeval_faster

    return by_classes(folder, COCO, COCOeval_faster)


CONTENDERS: dict[str, Callable[[Path], tuple[list[float], dict[str, float]]]] = {
    "scantling": by_scantling,
    "pycocotools": by_pycocotools,
    "faster-coco-eval": by_faster_coco_eval,
}


def run_alone(name: str, folder: Path) -> None:
    """Evaluate in this process and print figures, seconds and peak memory in MiB as JSON."""
    with contextlib.redirect_stdout(io.StringIO()):
        stats, spent = CONTENDERS[name](folder)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    spent |= {"total": sum(spent.values()), "cpu": usage.ru_utime + usage.ru_stime}
    print(json.dumps({"stats": stats, **spent, "peak": usage.ru_maxrss / 1024}))


def compare(folder: Path, rounds: int) -> None:
    """Every contender in turns, and one line each."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    for _ in range(rounds):
        for name, done in runs.items():
            command = [sys.executable, __file__, name, str(folder)]
            printed = subprocess.run(command, check=True, capture_output=True).stdout  # noqa: S603
            done.append(json.loads(printed))
    print(
        f"{'':18}{'read s':>8}{'eval s':>8}{'total s':>9}{'(min - max)':>16}{'x ours':>8}", end=""
    )
    print(f"{'(min - max)':>16}{'cpu s':>8}{'x ours':>8}{'peak MiB':>10}{'x ours':>8}  figures")
    for name, done in runs.items():
        pairs = list(zip(done, runs["scantling"], strict=True))
        ratios = [one["total"] / own["total"] for one, own in pairs]
        memory = statistics.median(one["peak"] / own["peak"] for one, own in pairs)
        cpu = statistics.median(one["cpu"] / own["cpu"] for one, own in pairs)
        middle = {
            key: statistics.median(one[key] for one in done) for key in done[0] if key != "stats"
        }
        totals = [one["total"] for one in done]
        same = done[0]["stats"] == runs["pycocotools"][0]["stats"]
        print(
            f"{name:18}{middle['read']:8.1f}{middle['evaluate']:8.1f}{middle['total']:9.1f}"
            f"{f'({min(totals):.1f} - {max(totals):.1f})':>16}{statistics.median(ratios):8.2f}"
            f"{f'({min(ratios):.2f} - {max(ratios):.2f})':>16}"
            f"{middle['cpu']:8.1f}{cpu:8.2f}{middle['peak']:10.0f}{memory:8.2f}"
            f"  {'equal to' if same else 'differ from'} pycocotools'"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["write"]:
        write_case(Path(sys.argv[2]))
    elif len(sys.argv) > 1:
        run_alone(sys.argv[1], Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as created:
            # not in this process: a child's peak of memory starts from that of its parent
            subprocess.run([sys.executable, __file__, "write", created], check=True)  # noqa: S603
            size = (Path(created) / "results.json").stat().st_size / 2**20
            print(f"{IMAGES} images x {DETECTIONS} detections, {CLASSES} classes, {size:.0f} MiB")
            compare(Path(created), ROUNDS)
