"""The training loader: mosaic, affine, colours and flip at 640, images a second on one core.

    python benchmarks/loader.py FOLDER [--samples 400]

FOLDER holds photographs. One process, one thread; from JPEG files, and from the store of decoded
images. Run it on an idle machine.
"""

import argparse
import tempfile
from itertools import islice
from pathlib import Path
from time import perf_counter, process_time

import cv2
import numpy as np

from scantling.augment import DarknetAugmentation, ScaledYoloAugmentation
from scantling.datasets.dataset import Dataset, LabelledImage, make_objects
from scantling.datasets.loader import Task, TrainingSet, open_training_set
from scantling.images import read_image
from scantling.training.plan import StepPlan
from scantling.training.recipe import Recipe

SIDE, BATCH, BUDGET = 640, 8, 4 * 10**9
RECIPES = {
    "scaled-yolov4": lambda size: ScaledYoloAugmentation(image_size=size),
    "darknet": lambda size: DarknetAugmentation(image_size=size, mosaic=1.0),
}


def read_folder(folder: Path) -> Dataset:
    """The photographs of a folder, with eight boxes each."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    sizes = [read_image(path).shape[:2] for path in paths]
    rng = np.random.default_rng(0)
    boxes = []
    for height, width in sizes:
        corner = rng.random((8, 2)) * 0.6
        shares = np.concatenate([corner, corner + 0.05 + rng.random((8, 2)) * 0.3], axis=1)
        boxes.append(shares * [width, height, width, height])
    images = tuple(
        LabelledImage(path, index, (size[0], size[1]))
        for index, (path, size) in enumerate(zip(paths, sizes, strict=True))
    )
    places = np.repeat(np.arange(len(images)), 8)
    objects = make_objects(np.concatenate(boxes), np.zeros(len(places), np.int64), places)
    return Dataset(folder, "yolo", "train", ("thing",), (0,), images, objects)


def measure(training_set: TrainingSet, samples: int) -> tuple[float, float]:
    """(images a second by the clock, by processor time)."""
    count = len(training_set.dataset)
    recipe = Recipe(batch=BATCH, nominal_batch=BATCH, epochs=1 + samples // count)
    steps = islice(StepPlan(recipe, count, (SIDE, SIDE), 32).iterate(), samples // BATCH)
    start, spent, made = perf_counter(), process_time(), 0
    for step in steps:
        (images,) = step.batches
        training_set.arrays(Task(images, (SIDE, SIDE), (step.index,), pool=step.pool))
        made += len(images)
    return made / (perf_counter() - start), made / (process_time() - spent)


def main() -> None:
    """Measure both recipes from both sources."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samples", type=int, default=400)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    dataset = read_folder(arguments.folder)
    with tempfile.TemporaryDirectory() as store:
        for name, augmentation in RECIPES.items():
            files = open_training_set(dataset, augmentation, long_side=SIDE)
            stored = open_training_set(
                dataset, augmentation, long_side=SIDE, folder=Path(store), budget=BUDGET
            )
            for index in range(len(dataset)):
                stored.store.read(index)
            for source, training_set in (("JPEG files", files), ("the store", stored)):
                measure(training_set, BATCH)  # warm-up
                clock, processor = measure(training_set, arguments.samples)
                print(
                    f"{name:14} from {source:11} {clock:6.1f} images/s "
                    f"({processor:.1f} by processor time)"
                )


if __name__ == "__main__":
    main()
