"""Images, folders, videos and streams → what is in them."""

import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import fields, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from ..checkpoints.files import ALONE, find_instead, list_model_files
from ..darknet.describe import read_cfg, weights_beside
from ..engines import Engine, EngineSettings, is_exported, open_engine, read_metadata
from ..errors import InvalidCheckpoint, InvalidValue, InvalidWeights, NeedsTorch, lookup
from ..images import InferencePlan
from ..images.letterbox import RESIZE_MODES, ResizeMode
from ..io import default_cache
from ..postprocess import Selection
from ..specs import CfgSpec, ModelSpec, find_spec
from ..specs.metadata import Metadata
from ..specs.nms import NmsSpec
from .predictor import Prediction, Predictor

logger = logging.getLogger(__name__)

LONGEST_PART = 255  # letters of a file name: no usual system has longer ones
Size = tuple[int, int]  # (height, width)


def load(
    model: str | Path,
    *,
    weights: str | Path | None = None,
    names: str | Path | None = None,
    engine: str = "auto",
    device: str = "auto",
    precision: str | None = None,
    threads: int | None = None,
    streams: int = 1,
    image_size: int | Size | None = None,
    resize_mode: ResizeMode | None = None,
    selection: Selection | Mapping[str, Any] | None = None,
    plan: InferencePlan | None = None,
    clip: bool = True,
    fast_decode: bool = False,
    cache: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Predictor:
    """Get a model ready to find objects.

    >>> predictor = load("yolov4-tiny")  # doctest: +SKIP
    >>> predictor("dog.jpg").scores  # doctest: +SKIP

    Args:
        model: a name of the catalogue, a `.cfg`, `.safetensors`, `.pt` or `.pth` file; or an
            exported file, which brings everything itself: `.onnx`, `.xml` or `.engine`.
        weights: darknet weights, where the model needs them.
        names: a file of class names, one a line, where the model brings none.
        engine: what runs the network: `torch`, `onnxruntime`, `openvino`, `tensorrt` or `auto`; see
            `scantling.engines.runtimes`.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: `fp32`, `bf16`, `fp16`, `auto`; None for what an exported file is meant to be
            computed in, and for fp32 of any other model.
        threads: of the processor; None for as many as it has cores.
        streams: batches that the network works on at once.
        image_size: (height, width) of the network's input, or the side of a square.
        resize_mode: how an image is made to fit it; the model's own way if None.
        selection: which candidates become detections; or only what is to differ from what the
            model's description or an exported file says, such as `{"min_score": 0.1}`.
        plan: the views of each image that the network is shown, such as `TTA`; one if None.
        clip: cut boxes off at the edge of the image.
        fast_decode: see `Predictor`.
        cache: folder for downloaded weights, and for models made ready for an engine.
        progress: called with the bytes so far and in all while weights are downloaded.

    Raises:
        ScantlingError: the model, its files or a setting do not fit, and what to do about it.
    """
    settings = EngineSettings(
        engine=engine,
        device=device,
        precision=precision,
        image_size=image_size,
        threads=threads,
        streams=streams,
        cache=None if cache is None else Path(cache),
    )
    return open_predictor(
        model,
        settings,
        weights=weights,
        names=names,
        resize_mode=resize_mode,
        selection=selection,
        plan=plan,
        clip=clip,
        fast_decode=fast_decode,
        progress=progress,
    )


def open_predictor(
    model: str | Path,
    settings: EngineSettings,
    *,
    weights: str | Path | None = None,
    names: str | Path | None = None,
    resize_mode: ResizeMode | None = None,
    selection: Selection | Mapping[str, Any] | None = None,
    plan: InferencePlan | None = None,
    clip: bool = True,
    fast_decode: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Predictor:
    """`load`, with the settings of the engine as one value.

    Raises:
        ScantlingError: as `load`.
    """
    for setting, given in (("model", model), ("weights", weights), ("names", names)):
        _check_name(setting, given)
    if resize_mode is not None and resize_mode not in RESIZE_MODES:
        raise InvalidValue("resize_mode", resize_mode, "one of " + ", ".join(RESIZE_MODES))
    if is_exported(model):
        metadata = read_metadata(model)
        _refuse_beside_file(str(model), metadata, weights, names, resize_mode)
        chosen = selection_of(metadata, selection)
        engine = open_engine(Path(model), settings, metadata=metadata)
        own, class_names = metadata.input_spec, metadata.names
    else:
        _choose_selection(selection, Selection())  # a mistake should not cost a download
        engine, spec, class_names = _open_model(model, weights, names, settings, progress)
        chosen = _choose_selection(selection, Selection(nms=spec.nms.kind, beta=spec.nms.beta))
        own = spec.input
    return Predictor(
        engine,
        class_names,
        input_spec=own if resize_mode is None else own.replace(resize_mode=resize_mode),
        selection=chosen,
        plan=plan,
        clip=clip,
        fast_decode=fast_decode,
    )


def _check_name(setting: str, given: str | Path | None) -> None:
    """Refuse what no file can be called: the system would say so of every question about it."""
    parts = str(given).split("/")
    if "\0" in str(given) or max(map(len, parts)) > LONGEST_PART:
        raise InvalidValue(setting, str(given)[:LONGEST_PART], "a name, or the path of a file")


def _open_model(
    model: str | Path,
    weights: str | Path | None,
    names: str | Path | None,
    settings: EngineSettings,
    progress: Callable[[int, int], None] | None,
) -> tuple[Engine, ModelSpec | CfgSpec, tuple[str, ...]]:
    """The engine, the description and the class names of what is no exported file."""
    files = None
    if settings.engine != "torch":
        from ..engines.known import open_known, remember

        kept = settings.cache or default_cache()
        files = list_model_files(model, weights=weights, names=names, cache=kept)
        known = open_known(files, settings) if files else None
        if known is not None:
            return known, known.metadata.spec, known.metadata.names
    _require_files(model, weights)
    _require_torch(model, settings)
    from ..checkpoints import load_model  # loads torch, which an exported file does without

    loaded = load_model(
        model, weights=weights, names=names, cache=settings.cache, progress=progress
    )
    engine = open_engine(loaded, settings)
    if files:
        remember(files, engine, settings)
    return engine, loaded.spec, loaded.names


def _refuse_beside_file(
    model: str,
    metadata: Metadata,
    weights: str | Path | None,
    names: str | Path | None,
    resize_mode: str | None,
) -> None:
    """Refuse what contradicts an exported file.

    Raises:
        InvalidValue: weights or names beside a file that has its own, or a resize mode other than
            the one inside it.
    """
    for setting, given in (("weights", weights), ("names", names)):
        if given is not None:
            raise InvalidValue(setting, str(given), f"none: {model} brings its own")
    if metadata.form.takes == "image" and resize_mode not in (
        None,
        metadata.input_spec.resize_mode,
    ):
        raise InvalidValue(
            "resize_mode",
            resize_mode,
            f"{metadata.input_spec.resize_mode!r}, which {model} does by itself",
        )


def selection_of(metadata: Metadata, asked: Selection | Mapping[str, Any] | None) -> Selection:
    """Which candidates of an exported file become detections.

    Args:
        metadata: of the file.
        asked: what its user wants; or only what is to differ from what the file says.
    """
    # what is inside a graph goes by the IoU alone
    nms = NmsSpec() if metadata.form.gives == "detections" else metadata.spec.nms
    own = Selection(
        min_score=metadata.min_score,
        iou_threshold=metadata.iou_threshold,
        nms=nms.kind,
        max_detections=metadata.max_detections,
        beta=nms.beta,
        classes=metadata.classes,
        class_scores=dict(metadata.class_scores.items()) or None,
    )
    chosen = _choose_selection(asked, own)
    if metadata.form.gives == "detections":
        _warn_of_inner_nms(metadata, own, chosen)
    return chosen


def _choose_selection(asked: Selection | Mapping[str, Any] | None, usual: Selection) -> Selection:
    """The selection that was asked for; what was not said is as usual.

    Raises:
        UnknownName: `Selection` has no field of a name.
    """
    if isinstance(asked, Selection):
        return asked
    known = {field.name: field for field in fields(Selection)}
    for name in asked or {}:
        lookup(known, name, "field of Selection")
    return replace(usual, **(asked or {}))


def _warn_of_inner_nms(metadata: Metadata, own: Selection, asked: Selection) -> None:
    """Warn where NMS inside an exported file has removed what is asked for.

    Args:
        metadata: of the file.
        own: what is inside it.
        asked: what its user wants.
    """
    if own.classes is not None or own.class_scores:
        _warn_of_inner_classes(metadata.names, own, asked)
    elif asked.lowest_score < metadata.min_score:
        logger.warning(
            f"the file has NMS inside and leaves out what scores {metadata.min_score:g} or less; "
            f"a lower one, {asked.lowest_score:g}, brings nothing back"
        )
    if asked.iou_threshold > metadata.iou_threshold:
        logger.warning(
            f"the file has NMS inside, from an overlap of {metadata.iou_threshold:g} on; "
            f"{asked.iou_threshold:g} brings nothing back"
        )
    if asked.max_detections > metadata.max_detections:
        logger.warning(
            f"the file gives {metadata.max_detections} detections of an image at most, "
            f"not {asked.max_detections}"
        )


def _warn_of_inner_classes(names: Sequence[str], own: Selection, asked: Selection) -> None:
    """Warn of the classes of which thresholds inside an exported file leave out more than asked."""
    count = len(names)
    inside, wanted = (one.with_labels(names).limits(count) for one in (own, asked))
    fewer = [name for name, lower in zip(names, (wanted < inside).tolist(), strict=True) if lower]
    if fewer:
        logger.warning(
            "the file has NMS inside, with classes or thresholds of its own: lower ones bring "
            f"nothing back of {', '.join(fewer[:5])}{' and others' if len(fewer) > 5 else ''}"
        )


def predict(
    model: str | Path | Predictor, sources: object, *, batch_size: int = 1, keep_images: bool = True
) -> Generator[Prediction, None, None]:
    """Find the objects in images, folders, videos and streams, one prediction after the other.

    >>> for prediction in predict("yolov4-tiny", "photos/"):  # doctest: +SKIP
    ...     print(prediction.frame.name, prediction.detections)

    Args:
        model: what `load` returned; or its first argument, to load with the defaults.
        sources: see `Predictor.stream`.
        batch_size: views that the network sees at once: images, where each has one view.
        keep_images: the images themselves are wanted beside what is in them; see
            `Predictor.stream`.

    Raises:
        ScantlingError: as `load` and `Predictor.stream`.
    """
    if isinstance(model, Predictor):
        return model.stream(sources, batch_size=batch_size, keep_images=keep_images)
    predictor = load(model)
    found = predictor.stream(sources, batch_size=batch_size, keep_images=keep_images)
    return _closing_at_end(predictor, found)


def _closing_at_end(
    predictor: Predictor, found: Generator[Prediction, None, None]
) -> Generator[Prediction, None, None]:
    """The same predictions; the predictor is closed after the last."""
    with predictor:
        yield from found


def _require_files(model: str | Path, weights: str | Path | None) -> None:
    """Refuse missing files, damaged cfgs and unknown names without torch, which takes seconds."""
    path = Path(model)
    suffix = path.suffix.lower()
    if weights is not None and not Path(weights).exists():
        raise InvalidWeights(str(weights), "there is no such file", "Give the path of the weights")
    if suffix == ".cfg":
        read_cfg(path)
        if weights is None:
            weights_beside(path)
    elif suffix in ALONE and not path.exists():
        raise InvalidCheckpoint(str(path), "there is no such file", find_instead(path))
    elif not suffix:
        find_spec(str(model))


def _require_torch(model: str | Path, settings: EngineSettings) -> None:
    """Refuse a model that is no exported file where torch is missing, or lacks what is asked for.

    A mistake should not cost a download.
    """
    try:
        import_module("torch")
    except ModuleNotFoundError as error:
        raise NeedsTorch(f"A model in the form of {str(model)!r}") from error
    if settings.engine in ("auto", "torch"):
        from ..engines.torch_engine import choose_device, choose_dtype

        device = choose_device(settings.device)
        choose_dtype(settings.precision or "fp32", device, cache=settings.cache)
