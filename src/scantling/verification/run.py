"""Verify a file: the metadata, the tensors, the boxes, the AP, each against the model itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from time import perf_counter

import numpy as np

from ..checkpoints import Model
from ..datasets.dataset import Dataset
from ..engines import Engine
from ..errors import InvalidValue
from ..evaluation import open_data
from ..images import read_sources
from ..images.read import read_image
from ..specs.metadata import Metadata
from ..structures import Image, IntArray
from .ap import compare_ap
from .boxes import Comparison, compare_boxes
from .candidate import open_reference, open_subject
from .comparator import Bench, make_probe
from .metadata_diff import compare_metadata, match_columns
from .naming import settle
from .reference import Reference
from .result import Fault, Stage, Verification
from .scenes import ON_SCENES, draw_scenes
from .tensors import compare_tensors

STAGES = ("tensors", "boxes", "ap")
SCENES, PROBES = 4, 3  # drawn images, and how many images are compared number by number
IMAGES = 16  # at most, of a user's own
LARGE = 1 << 20  # pixels of an input from which on one probe less must do
Progress = Callable[[int, int], None]


def verify(
    file: str | Path,
    *,
    against: str | Path | Model | None = None,
    weights: str | Path | None = None,
    names: str | Path | None = None,
    data: str | Path | Dataset | None = None,
    split: str | None = None,
    images: object = None,
    max_ap_drop: float = 0.005,
    engine: str = "auto",
    device: str = "auto",
    limit: int | None = None,
    stages: Sequence[str] = STAGES,
    cache: str | Path | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Find out whether a file is the model that it claims to be, and name what is wrong if not.

    >>> verify("yolov4-tiny.onnx", against="yolov4-tiny.cfg").passed  # doctest: +SKIP

    Args:
        file: an exported file; or any other model, to see what an engine makes of it.
        against: the model: a name, a file, or one that is loaded; None for the source that the
            file's metadata names, at that path or beside the file.
        weights, names: of `against`, as for `load_model`.
        data: a labelled data set: its images are compared, and the AP of both.
        split: of the data.
        images: what `read_sources` reads, to compare on; drawn scenes if there are neither images
            nor data.
        max_ap_drop: how much less than its model's the AP of the file may be.
        engine, device: what runs the file, as for `open_engine`.
        limit: of the data, only the first so many images.
        stages: which comparisons, of `STAGES`; `ap` only where there is data.
        cache: folder for downloaded weights.
        progress: called with the images done and in all, while the AP is measured.

    Raises:
        InvalidExport: the file is damaged, or is not what its metadata says.
        InvalidValue: an unknown stage, or nothing to compare with.
        MissingPackage: the engine of the file is not installed.
        ScantlingError: the model or the images cannot be read.
    """
    _check(stages, max_ap_drop)
    dataset = None if data is None else open_data(data, split=split)
    running, metadata, model = open_subject(file, engine=engine, device=device, cache=cache)
    try:
        reference = open_reference(
            model if against is None and model is not None else against,
            metadata,
            Path(file),
            weights=weights,
            names=names,
            device=device,
            cache=cache,
        )
        shown, real = _choose_images(images, dataset)
        work = _Work(reference, running, metadata, shown, real)
        return _compare(work, str(file), dataset, tuple(stages), max_ap_drop, limit, progress)
    finally:
        running.close()


@dataclass(frozen=True, eq=False)
class _Work:
    """Both sides, and what they are shown."""

    reference: Reference
    engine: Engine
    metadata: Metadata
    images: list[Image]
    real: str  # what they are, in words


def _compare(
    work: _Work,
    file: str,
    dataset: Dataset | None,
    chosen: tuple[str, ...],
    max_ap_drop: float,
    limit: int | None,
    progress: Progress | None,
) -> Verification:
    """Every stage that was asked for, and what they say together."""
    reference, engine, metadata = work.reference, work.engine, work.metadata
    told, notes = compare_metadata(metadata, reference.metadata)
    columns = match_columns(metadata.names, reference.metadata.names)
    bench = Bench(reference, engine, metadata, columns=columns)
    stages: list[Stage] = []
    found: list[Fault] = []
    sound = True
    if "tensors" in chosen:
        height, width = metadata.image_size
        count = PROBES - (height * width > LARGE)
        spec = reference.metadata.input_spec
        probes = [make_probe(image, spec, metadata.image_size) for image in work.images[:count]]
        tensors = compare_tensors(bench, probes, real=work.real)
        stages.append(tensors.stage)
        found += tensors.faults
        found, told, notes = settle(bench, probes, found, told, notes, passed=tensors.stage.passed)
        sound = bool(np.isfinite(list(tensors.limits.values())).all())
    if "boxes" in chosen and sound:
        explained = any(fault.stage == "tensors" for fault in found)
        stage, faults = _boxes(work, columns, explained=explained)
        stages.append(stage)
        found += faults
    if "ap" in chosen and dataset is not None and sound:
        stage, faults = compare_ap(
            reference,
            engine,
            metadata,
            dataset,
            max_drop=max_ap_drop,
            limit=limit,
            progress=progress,
        )
        stages.append(stage)
        found += faults if not (found or told) else []
    return Verification(
        file=file,
        against=reference.describes,
        engine=engine.description,
        precision=metadata.precision,
        stages=tuple(stages),
        faults=_once([*found, *told]),
        notes=tuple(notes),
    )


def _boxes(work: _Work, columns: IntArray, *, explained: bool) -> tuple[Stage, list[Fault]]:
    start = perf_counter()
    comparison = Comparison(
        work.reference, work.engine, work.metadata, columns=columns, images=work.images
    )
    stage, faults = compare_boxes(comparison, real=work.real, explained=explained)
    return replace(stage, seconds=perf_counter() - start), faults


def _once(faults: Sequence[Fault]) -> tuple[Fault, ...]:
    """Each fault by its first evidence."""
    named: dict[str, Fault] = {}
    for fault in faults:
        named.setdefault(fault.name, fault)
    return tuple(named.values())


def _choose_images(images: object, dataset: Dataset | None) -> tuple[list[Image], str]:
    """What both sides are shown, and what it is in words."""
    if images is None and dataset is None:
        return draw_scenes(SCENES), ON_SCENES
    if images is None and dataset is not None:
        paths = [image.path for image in dataset.images[:IMAGES]]
        return [read_image(path) for path in paths], "images"
    frames = list(islice(read_sources(images), IMAGES))
    read = [frame.image for frame in frames if frame.image is not None]
    if not read:
        given = frames[0].problem if frames else "nothing"
        raise InvalidValue("images", given, "images that can be read")
    return read, "images"


def _check(stages: Sequence[str], max_ap_drop: float) -> None:
    wrong = [stage for stage in stages if stage not in STAGES]
    if wrong or not stages:
        raise InvalidValue("stages", wrong or list(stages), f"some of {', '.join(STAGES)}")
    if not 0 <= max_ap_drop <= 1:
        raise InvalidValue("max_ap_drop", max_ap_drop, "a share from 0 to 1, such as 0.005")
