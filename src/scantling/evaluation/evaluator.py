"""Evaluate a model, or a file of detections, on a labelled data set."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from ..datasets.check import require_objects, require_sound
from ..datasets.dataset import Dataset
from ..datasets.readers import read_dataset
from ..errors import InvalidData
from ..inference import Prediction, Predictor, load
from ..inference.predictor import STAGES
from ..postprocess import Selection
from ..specs.classes import match_class_names
from .coco_results import read_results
from .evaluation import Evaluation, Seconds, choose_protocol, compute_metrics
from .protocol import OF_THE_MODEL, Protocol
from .subset import (
    choose_classes,
    find_labels,
    first_images,
    keep_labels,
    min_scores,
    only_classes,
    without_classes,
)
from .tables import DetectionTableBuilder, make_ground_truth

KEPT_WITHOUT_LIMIT = 5000  # detections of an image under a protocol that keeps all


def evaluate(
    model: str | Path | Predictor,
    data: str | Path | Dataset,
    *,
    split: str | None = None,
    format: str | None = None,  # noqa: A002 - what every function of the data calls it
    protocol: str | Protocol = "coco",
    classes: Sequence[str | int] | None = None,
    rename_classes: Mapping[str, str] | None = None,
    known_classes_only: bool = False,
    limit: int | None = None,
    max_data_errors: int = 0,
    batch_size: int = 1,
    rectangular: bool = False,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Evaluate a model on a labelled data set.

    >>> evaluate("yolov4-tiny", "coco.yaml").stats["AP"]  # doctest: +SKIP

    The images are read as they come and forgotten; only the detections stay in memory.

    Args:
        model: what `scantling.load` returned, whose own selection is then used; or its first
            argument, to load with the selection of the protocol.
        data: a data set, or what `read_dataset` reads.
        split: which part of it; the one meant for evaluation if None.
        format: of the data, where it cannot be found out.
        protocol: `coco`, `voc07`, `voc12`, `darknet`, or settings of one's own.
        classes: names or labels of the only classes of the data that count: objects and detections
            of others are left out, as by COCO's `params.catIds`. None for all, or for those that
            the selection of the model keeps.
        rename_classes: name of a class in the data → its name in the model, where they differ.
        known_classes_only: leave out objects of classes that the model does not know.
        limit: only the first so many images.
        max_data_errors: errors in the data, images that cannot be read included, up to which it is
            evaluated nevertheless.
        batch_size: images that the network sees at once.
        rectangular: batches of images of like shape with less padding; faster, not quite the same.
        workers: processes that read images; 0 for threads.
        progress: called with the images done and in all.

    Raises:
        InvalidData: the data cannot be read or has too many errors, or the model does not know one
            of its classes.
        ScantlingError: the model or a setting does not fit.
    """
    rules = choose_protocol(protocol)
    whole = open_data(data, split=split, format=format, max_data_errors=max_data_errors)
    labels = None if classes is None else find_labels(whole, classes)
    with ExitStack() as stack:
        predictor = model
        if not isinstance(predictor, Predictor):
            predictor = stack.enter_context(load(predictor, selection=protocol_settings(rules)))
        match = partial(match_class_names, predictor.names, known_classes_only=known_classes_only)
        chosen, renamed = whole, rename_classes or {}
        if labels is None and predictor.selection.classes is None:
            matched = match(whole.names, source=str(whole.source), rename_classes=renamed)
        else:
            chosen, matched = choose_classes(whole, labels, predictor, match, renamed)
        dataset = chosen if limit is None else first_images(chosen, limit)
        dataset = without_classes(dataset, matched.unknown) if matched.unknown else dataset
        start = perf_counter()
        stream = predictor.stream_files(
            [image.path for image in dataset.images],
            batch_size=batch_size,
            rectangular=rectangular,
            workers=workers,
        )
        collected = _Collected(dataset, DetectionTableBuilder(matched.labels), max_data_errors)
        collected.add_all(stream, progress)
    middle = perf_counter()
    run = _as_run(rules, predictor, None if chosen is whole else chosen.names)
    metrics = compute_metrics(make_ground_truth(dataset), collected.builder.build(), run)
    seconds = collected.seconds
    return Evaluation(
        dataset,
        len(whole),
        metrics,
        matched,
        model=_describe(predictor, batch_size, rectangular),
        unreadable=tuple(collected.unreadable),
        seconds=Seconds(**seconds, images=middle - start, evaluation=perf_counter() - middle),
    )


class _Collected:
    """Collects the predictions of a data set: detections, unreadable images, time per stage."""

    def __init__(
        self, dataset: Dataset, builder: DetectionTableBuilder, max_data_errors: int
    ) -> None:
        self.dataset = dataset
        self.builder = builder
        self.max_data_errors = max_data_errors
        self.unreadable: list[tuple[str, str]] = []
        self.seconds = dict.fromkeys(STAGES, 0.0)

    def add_all(
        self, stream: Generator[Prediction], progress: Callable[[int, int], None] | None
    ) -> None:
        """Take in the predictions of all images."""
        with closing(stream) as predictions:
            for done, prediction in enumerate(predictions, start=1):
                self.add(prediction)
                if progress is not None:
                    progress(done, len(self.dataset))

    def add(self, prediction: Prediction) -> None:
        """Take in the prediction of one image.

        Raises:
            InvalidData: the image cannot be evaluated, and that is one error too many.
        """
        problem = _problem(prediction, self.dataset)
        if problem is None and prediction.detections is not None:
            self.builder.add(prediction.frame.index, prediction.detections)
        else:
            self.unreadable.append((prediction.frame.name, problem or ""))
            _check_readable(self.dataset, self.unreadable, self.max_data_errors)
        for stage, seconds in asdict(prediction.seconds).items():
            self.seconds[stage] += seconds / len(self.dataset)


def evaluate_results(
    results: str | Path,
    data: str | Path | Dataset,
    *,
    split: str | None = None,
    format: str | None = None,  # noqa: A002 - what every function of the data calls it
    protocol: str | Protocol = "coco",
    classes: Sequence[str | int] | None = None,
    min_score: float | None = None,
    class_scores: Mapping[str | int, float] | None = None,
    limit: int | None = None,
    max_data_errors: int = 0,
) -> Evaluation:
    """Evaluate detections from a results file.

    Args:
        results: COCO's detection results, a JSON list of image_id, category_id, bbox and score. Ids
            are those of the data set.
        data: as for `evaluate`, and so are `split`, `format`, `limit` and `max_data_errors`.
        protocol, classes: as for `evaluate`.
        min_score: detections below are left out; None for what the protocol itself demands.
        class_scores: for some classes of the data, by name or label, another `min_score`.

    Raises:
        InvalidData: the data or the results cannot be read, or do not belong to one another.
    """
    rules = choose_protocol(protocol)
    floor = rules.min_score if min_score is None and rules.cuts_files else min_score or 0.0
    whole = open_data(
        data, split=split, format=format, max_data_errors=max_data_errors, with_images=False
    )
    labels = None if classes is None else find_labels(whole, classes)
    detections = read_results(Path(results), make_ground_truth(whole))
    dataset = whole if labels is None else only_classes(whole, labels)
    dataset = dataset if limit is None else first_images(dataset, limit)
    least, own = min_scores(whole, floor, class_scores or {})
    kept = (detections.image_index < len(dataset)) & (detections.scores >= least[detections.labels])
    start = perf_counter()
    rules = replace(
        rules,
        min_score=floor,
        nms="as given",
        kept=None,
        clip=False,
        classes=None if labels is None else dataset.names,
        class_scores=own,
    )
    found = keep_labels(detections.take(kept), labels)
    metrics = compute_metrics(make_ground_truth(dataset), found, rules)
    return Evaluation(
        dataset,
        len(whole),
        metrics,
        classes=None,
        model={"detections": str(results)},
        seconds=Seconds(evaluation=perf_counter() - start),
    )


def protocol_settings(protocol: str | Protocol) -> dict[str, Any]:
    """The fields of `Selection` that a protocol sets; what it leaves out is the model's own."""
    rules = choose_protocol(protocol)
    own: dict[str, Any] = {} if rules.nms == OF_THE_MODEL else {"nms": rules.nms}
    return {
        "min_score": rules.min_score,
        "iou_threshold": rules.nms_iou,
        "max_detections": rules.kept or KEPT_WITHOUT_LIMIT,
        "class_scores": None,  # an exported file may have its own
        **own,
    }


def selection_for(protocol: str | Protocol) -> Selection:
    """Default thresholds and NMS settings of a protocol, for a model without a kind of its own."""
    return Selection(**protocol_settings(protocol))


def open_data(
    data: str | Path | Dataset,
    *,
    split: str | None = None,
    format: str | None = None,  # noqa: A002
    max_data_errors: int = 0,
    with_images: bool = True,
) -> Dataset:
    """Open the data set to evaluate on, and check it.

    Args:
        data, split, format, max_data_errors: as for `evaluate`.
        with_images: whether its images are needed; without, it does not matter what is wrong with
            their files.

    Raises:
        InvalidData: it cannot be read, has no images or no object, or more errors than allowed.
    """
    dataset = data if isinstance(data, Dataset) else read_dataset(data, split=split, format=format)
    if not with_images and dataset.format == "coco":  # which states the sizes of the images
        others = (one for one in dataset.findings if not one.code.startswith("E3"))
        dataset = replace(dataset, findings=tuple(others))
    require_sound(dataset, max_errors=max_data_errors)
    if not dataset.images:
        raise InvalidData(str(dataset.source), "it has no images", "Name another split")
    require_objects(dataset)
    return dataset


def _problem(prediction: Prediction, dataset: Dataset) -> str | None:
    """Why an image cannot be evaluated, if it cannot."""
    found, stated = prediction.detections, dataset.images[prediction.frame.index].size
    if found is None:
        return prediction.frame.problem or "cannot be read"
    if stated is None or stated == found.image_size:
        return None
    (height, width), (old_height, old_width) = found.image_size, stated
    return f"is {width}x{height} pixels, but labelled as {old_width}x{old_height} (E224)"


def _check_readable(
    dataset: Dataset, unreadable: Sequence[tuple[str, str]], max_data_errors: int
) -> None:
    """Raise once there are too many errors in the data."""
    named = {str(error.image or error.file) for error in dataset.errors}
    count = len(dataset.errors) + sum(path not in named for path, _ in unreadable)
    if count > max_data_errors:
        path, problem = unreadable[-1]
        raise InvalidData(
            str(dataset.source),
            f"{path!r}: {problem}; errors so far: {count}",
            "Run `scantling data check`, or allow more with --max-data-errors "
            "(an image that cannot be read counts as one in which nothing was found)",
        )


def _as_run(protocol: Protocol, predictor: Predictor, classes: tuple[str, ...] | None) -> Protocol:
    """The protocol with the predictor's actual settings, and the only classes that count."""
    selection = predictor.selection
    scores = selection.class_scores or {}
    kind = "WBF" if selection.merge == "wbf" else selection.nms
    if kind == "diou":
        kind = f"diou (beta {selection.beta:g})"
    return replace(
        protocol,
        min_score=selection.min_score,
        kept=selection.max_detections,
        nms=kind if selection.class_aware else f"{kind} across classes",
        nms_iou=selection.iou_threshold,
        clip=predictor.clip,
        classes=classes,
        class_scores={predictor.names[int(label)]: score for label, score in scores.items()},
    )


def _describe(predictor: Predictor, batch_size: int, rectangular: bool) -> dict[str, str]:
    """Settings of the predictor, as text."""
    height, width = predictor.engine.image_size
    plan, selection = predictor.plan, predictor.selection
    scales = [f"{view.scale:g}{' mirrored' if view.flip else ''}" for view in plan.views]
    views = "one" if scales == ["1"] else f"scales {', '.join(scales)}"
    if plan.tile is not None:
        tile = f"{plan.tile[0]}×{plan.tile[1]} tiles, overlap {plan.overlap:g}"
        views = f"{views}; {tile}{', and the whole image' if plan.whole_image else ''}"
    return {
        "input": f"{height}×{width}, {predictor.input_spec.resize_mode}",
        "views of an image": views,
        "labels of a box": "every class" if selection.multi_label else "the best class",
        "batch": f"{batch_size}{', rectangular' if rectangular else ''}",
    }
