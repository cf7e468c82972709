"""Compare AP: how much of it the candidate loses on labelled data."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np

from ..datasets.dataset import Dataset
from ..errors import InvalidData
from ..inference.predictor import Predictor
from ..specs.metadata import Metadata, Precision, image_key
from .boxes import ReferenceEngine
from .comparator import Comparator
from .result import Fault, Figure, Stage

LOST = "AP drops too much"
# What a file may lose, by its precision; both `export` and `verify` hold it to that.
MAX_AP_DROP: dict[Precision, float] = {"fp32": 0.005, "fp16": 0.005, "bf16": 0.003, "int8": 0.01}
FEWEST = 32  # images from which on an AP says something


@dataclass(frozen=True, kw_only=True)
class ApLimit:
    """What the AP may lose, and on which data.

    Args:
        dataset: labelled images.
        max_drop: how much less the AP of the candidate may be; None for that of `MAX_AP_DROP`.
        limit: only the first so many images.
        progress: called with the images done and in all, of both.
    """

    dataset: Dataset
    max_drop: float | None = None
    limit: int | None = None
    progress: Callable[[int, int], None] | None = None


def calibrated_on(dataset: Dataset, metadata: Metadata) -> list[bool]:
    """Of each image of a data set whether the file was calibrated on it."""
    keys = set() if metadata.calibration is None else set(metadata.calibration.image_keys)
    return [bool(keys) and _key(image.path) in keys for image in dataset.images]


def choose_judged(dataset: Dataset, metadata: Metadata) -> Dataset:
    """The images that a file is judged by: those that INT8 was not calibrated on, as `export` does.

    Where fewer than 32 are left, all of them.
    """
    seen = np.array(calibrated_on(dataset, metadata), np.bool_)
    kept = np.flatnonzero(~seen)
    if not seen.any() or len(kept) < FEWEST:
        return dataset
    places = np.full(len(dataset), -1)
    places[kept] = np.arange(len(kept))
    objects = dataset.objects.take(places[dataset.objects.image_index] >= 0)
    return replace(
        dataset,
        images=tuple(dataset.images[place] for place in kept),
        objects=replace(objects, image_index=places[objects.image_index]),
    )


def _key(path: Path) -> str:
    try:
        return image_key(path)
    except OSError:  # it cannot be read either, which is told where that is tried
        return ""


def compare_ap(comparator: Comparator, ap: ApLimit) -> tuple[Stage, list[Fault]]:
    """Evaluate candidate and reference by COCO's protocol.

    Raises:
        InvalidData: the classes of the data are not those of the model, or no object counts.
    """
    from ..evaluation import compare_metrics, describe_images, evaluate, selection_for

    start = perf_counter()
    dataset, metadata = ap.dataset, comparator.metadata
    images = len(dataset) if ap.limit is None else min(ap.limit, len(dataset))
    reference = comparator.reference
    both = (
        (ReferenceEngine(reference, metadata.image_size), reference.metadata),
        (comparator.engine, metadata),
    )
    inside = metadata.form.gives == "detections" and metadata.classes is not None
    kept = tuple(metadata.names[label] for label in metadata.classes or ()) if inside else None
    selection = replace(selection_for("coco"), classes=kept)
    found = []
    for number, (engine, own) in enumerate(both):
        predictor = Predictor(engine, own.names, input_spec=own.input_spec, selection=selection)

        def show(done: int, _total: int, before: int = number * images) -> None:
            if ap.progress is not None:
                ap.progress(before + done, 2 * images)

        found.append(evaluate(predictor, dataset, limit=ap.limit, progress=show).metrics)
    lost = compare_metrics(*found)
    if lost is None:
        raise InvalidData(
            str(dataset.source),
            f"no object counts in the {images} images that are looked at, so that there is no AP",
            "Look at more of them",
        )
    right, given = ({name: one.stats[name] or 0.0 for name in ("AP", "AP50")} for one in found)
    most = MAX_AP_DROP[metadata.precision] if ap.max_drop is None else ap.max_drop
    keys = None if metadata.calibration is None else calibrated_on(dataset, metadata)[:images]
    stage = Stage(
        "ap",
        (
            Figure("AP of the model", right["AP"]),
            Figure("AP of the file", given["AP"]),
            Figure("AP lost", lost.lost, most, at_least=False, error=lost.error),
            Figure("AP50 lost", right["AP50"] - given["AP50"]),
        ),
        describe_images(images, None if keys is None else sum(keys)),
        perf_counter() - start,
    )
    if stage.passed:
        return stage, []
    evidence = f"{lost}, on {stage.compared}"
    return stage, [Fault(LOST, "ap", evidence)]
