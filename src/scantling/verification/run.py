"""Verify a file against its model: metadata, tensors, boxes and AP."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from time import perf_counter

import numpy as np

from ..checkpoints import Model, load_model
from ..datasets.dataset import Dataset
from ..engines import Engine, EngineSettings, is_exported, open_engine, read_metadata
from ..engines.graphs import make_metadata
from ..errors import InvalidValue
from ..images import read_sources
from ..images.read import read_image
from ..postprocess import Selection
from ..specs.metadata import Metadata, Precision
from ..structures import Image
from .ap import ApLimit, choose_judged, compare_ap
from .boxes import compare_boxes
from .claims import compare_claims
from .comparator import Comparator, make_sample
from .metadata_diff import check_names_and_weights, compare_metadata, match_columns
from .reference import open_reference
from .result import Fault, Stage, Verification
from .scenes import ON_SCENES, draw_scenes
from .tensors import compare_tensors

STAGES = ("tensors", "boxes", "ap")
SCENES, SAMPLES = 4, 3  # drawn images, and images whose tensors are compared
IMAGES = 16  # at most, of a user's own
LARGE = 1 << 20  # pixels of an input from which on one sample less must do
COARSENESS: tuple[Precision, ...] = ("fp32", "fp16", "bf16", "int8")
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
    max_ap_drop: float | None = None,
    engine: str = "auto",
    device: str = "auto",
    limit: int | None = None,
    stages: Sequence[str] = STAGES,
    cache: str | Path | None = None,
    progress: Progress | None = None,
    thresholds: Selection | None = None,
) -> Verification:
    """Check that a file computes what its model does, and name the fault if it does not.

    >>> verify("yolov4-tiny.onnx", against="yolov4-tiny.cfg").passed  # doctest: +SKIP

    Args:
        file: an exported file; or any other model, to see what an engine makes of it.
        against: the model: a name, a file, or one that is loaded; None for the source that the
            file's metadata names, at that path or beside the file.
        weights, names: of `against`, as for `load_model`.
        data: a labelled data set: its images are compared, and the AP of both; without those that
            an INT8 file was calibrated on, if 32 others are left.
        split: of the data.
        images: what `read_sources` reads, to compare on; drawn scenes if there are neither images
            nor data.
        max_ap_drop: how much less than its model's the AP of the file may be; None for what
            `export` allows its precision: 0.01 of int8, 0.003 of bf16, else 0.005.
        engine, device: what runs the file, as for `open_engine`.
        limit: of the data, only the first so many images.
        stages: which comparisons, of `STAGES`; `ap` only where there is data.
        cache: folder for downloaded weights.
        progress: called with the images done and in all, while the AP is measured.
        thresholds: that the file is meant to have; those of its model if None.

    Raises:
        InvalidExport: the file is damaged, or is not what its metadata says.
        InvalidValue: an unknown stage, or nothing to compare with.
        MissingPackage: the engine of the file is not installed.
        ScantlingError: the model or the images cannot be read.
    """
    _check(stages, max_ap_drop)
    dataset = None
    if data is not None:
        from ..evaluation import open_data  # late: only AP needs it

        dataset = open_data(data, split=split)
    running, metadata, model = open_candidate(file, engine=engine, device=device, cache=cache)
    if dataset is not None:
        dataset = choose_judged(dataset, metadata)
    ap = None
    if dataset is not None and "ap" in stages:
        ap = ApLimit(dataset=dataset, max_drop=max_ap_drop, limit=limit, progress=progress)
    real = ON_SCENES if images is None and dataset is None else "images"
    with ExitStack() as stack:
        stack.callback(running.close)
        shown = _choose_images(images, dataset)
        reference = open_reference(
            model if against is None and model is not None else against,
            metadata,
            Path(file),
            load=partial(load_model, weights=weights, names=names, cache=cache),
            device=device,
        )
        stack.callback(reference.close)
        columns = match_columns(metadata.names, reference.metadata.names)
        reference.metadata = _with_thresholds(reference.metadata, thresholds)
        comparator = Comparator(reference, running, metadata, columns=columns)
        found = _compare(comparator, shown, real, stages=stages, ap=ap)
        return replace(found, file=str(file))


def _with_thresholds(metadata: Metadata, thresholds: Selection | None) -> Metadata:
    if thresholds is None:
        return metadata
    names = ("min_score", "iou_threshold", "max_detections")
    wanted: dict[str, object] = {name: getattr(thresholds, name) for name in names}
    wanted["class_scores"] = dict(thresholds.with_labels(metadata.names).class_scores or {})
    return metadata.model_copy(update=wanted)


def open_candidate(
    file: str | Path, *, engine: str, device: str, cache: str | Path | None
) -> tuple[Engine, Metadata, Model | None]:
    """Open what is verified in its engine.

    Returns:
        The engine; its metadata, with the precision that it is computed in; and the model, where it
        is no exported file.

    Raises:
        ScantlingError: it cannot be opened, and what to do about it.
    """
    model = None if is_exported(file) else load_model(file, cache=cache)
    metadata = read_metadata(file) if model is None else make_metadata(model, source=str(file))
    running = open_engine(
        Path(file) if model is None else model,
        EngineSettings(engine=engine, device=device, cache=None if cache is None else Path(cache)),
        metadata=metadata,
    )
    coarser = [one for one in COARSENESS if one in (metadata.precision, running.precision)]
    precision = coarser[-1] if coarser else metadata.precision
    return running, metadata.model_copy(update={"precision": precision}), model


def _compare(
    comparator: Comparator,
    images: list[Image],
    real: str,
    *,
    stages: Sequence[str],
    ap: ApLimit | None,
) -> Verification:
    """Run the stages, and put their faults together.

    Args:
        comparator: runs both.
        images: to compare on.
        real: what they are, in words.
        stages: which.
        ap: what the AP may lose; None where it is not compared.
    """
    metadata, right = comparator.metadata, comparator.reference.metadata
    metadata_faults, notes = compare_metadata(metadata, right)
    done, faults, sound = list[Stage](), list[Fault](), True
    if "tensors" in stages:
        height, width = metadata.image_size
        start = perf_counter()
        count = SAMPLES - (height * width > LARGE)
        samples = [
            make_sample(image, right.input_spec, metadata.image_size) for image in images[:count]
        ]
        tensors = compare_tensors(comparator, samples, real=real)
        done.append(tensors.stage)
        faults, more = check_names_and_weights(
            comparator, samples, tensors.faults, agree=tensors.stage.passed
        )
        notes += more
        usual = metadata.form.batch == 1 and not metadata.form.any_size
        if tensors.stage.passed and not (faults or usual):
            figures, faults = compare_claims(comparator, samples, tensors.tolerances)
            done = [done[0].extended(figures, seconds=perf_counter() - start)]
        sound = bool(np.isfinite(list(tensors.tolerances.values())).all())
    if "boxes" in stages and sound:
        explained = any(fault.stage == "tensors" for fault in faults)
        stage, found = compare_boxes(comparator, images, real=real, explained=explained)
        done.append(stage)
        faults += found
    if ap is not None and sound:
        stage, found = compare_ap(comparator, ap)
        done.append(stage)
        faults += found if not (faults or metadata_faults) else []
    return Verification(
        file=metadata.source,
        against=comparator.reference.description,
        engine=comparator.engine.description,
        precision=metadata.precision,
        stages=tuple(done),
        faults=_once([*faults, *metadata_faults]),
        notes=tuple(notes),
    )


def _once(faults: Sequence[Fault]) -> tuple[Fault, ...]:
    """Each fault by its first evidence."""
    named: dict[str, Fault] = {}
    for fault in faults:
        named.setdefault(fault.name, fault)
    return tuple(named.values())


def _choose_images(images: object, dataset: Dataset | None) -> list[Image]:
    """The first of the user's own images, or of the data; else drawn scenes.

    Raises:
        InvalidValue: none of the images can be read.
    """
    if images is None and dataset is None:
        return draw_scenes(SCENES)
    if images is None and dataset is not None:
        return [read_image(image.path) for image in dataset.images[:IMAGES]]
    frames = list(islice(read_sources(images), IMAGES))
    read = [frame.image for frame in frames if frame.image is not None]
    if not read:
        given = frames[0].problem if frames else "nothing"
        raise InvalidValue("images", given, "images that can be read")
    return read


def _check(stages: Sequence[str], max_ap_drop: float | None) -> None:
    wrong = [stage for stage in stages if stage not in STAGES]
    if wrong or not stages:
        raise InvalidValue("stages", wrong or list(stages), f"some of {', '.join(STAGES)}")
    if max_ap_drop is not None and not 0 <= max_ap_drop <= 1:
        raise InvalidValue("max_ap_drop", max_ap_drop, "a share from 0 to 1, such as 0.005")
