"""Images, folders, videos and streams → what is in them."""

import logging
from collections.abc import Callable, Generator
from importlib import import_module
from pathlib import Path
from typing import Literal, get_args

from ..engines import Engine, is_exported, open_engine, read_metadata
from ..errors import InvalidValue, NeedsTorch
from ..images import InferencePlan
from ..images.letterbox import RESIZE_MODES, ResizeMode
from ..postprocess import Selection
from ..specs import InputSpec
from ..specs.metadata import Metadata
from .predictor import FilePrediction, Prediction, Predictor, StageSeconds

logger = logging.getLogger(__name__)

__all__ = ["FilePrediction", "Prediction", "Predictor", "StageSeconds", "load", "predict"]

Precision = Literal["fp32", "bf16", "fp16", "auto"]
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
    selection: Selection | None = None,
    plan: InferencePlan | None = None,
    clip: bool = True,
    fast_decode: bool = True,
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
            `scantling.engines.open_engine`.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: `fp32`, `bf16`, `fp16`, `auto`; None for what an exported file is meant to be
            computed in, and for fp32 of any other model.
        threads: of the processor; None for as many as it has cores.
        streams: batches that the network works on at once.
        image_size: (height, width) of the network's input, or the side of a square.
        resize_mode: how an image is made to fit it; the model's own way if None.
        selection: which candidates become detections; if None, as an exported file says.
        plan: the views of each image that the network is shown, such as `TTA`; one if None.
        clip: cut boxes off at the edge of the image.
        fast_decode: see `Predictor`.
        cache: folder for downloaded weights, and for models made ready for an engine.
        progress: called with the bytes so far and in all while weights are downloaded.

    Raises:
        ScantlingError: the model, its files or a setting do not fit, and what to do about it.
    """
    check_settings(device, precision, resize_mode)
    folder = None if cache is None else Path(cache)

    def opened(source: object) -> Engine:
        return open_engine(
            source,  # type: ignore[arg-type] # a model, whose class would load torch
            engine=engine,
            device=device,
            precision=precision,
            image_size=image_size,
            threads=threads,
            streams=streams,
            cache=folder,
        )

    if is_exported(model):
        metadata = read_metadata(model)
        refuse_beside_file(str(model), metadata, weights, names, resize_mode)
        chosen: Selection | None = selection_of(metadata, selection)
        ready, own, labels = opened(Path(model)), metadata.input_spec, metadata.names
    else:
        _require_torch(model)
        if engine in ("auto", "torch"):
            _check_torch(device, precision)
        from ..checkpoints import load_model  # loads torch, which an exported file does without

        loaded = load_model(model, weights=weights, names=names, cache=cache, progress=progress)
        chosen = selection
        ready, own, labels = opened(loaded), loaded.spec.input, loaded.names
    spec: InputSpec = own.replace(resize_mode=resize_mode or own.resize_mode)
    return Predictor(
        ready,
        labels,
        input_spec=spec,
        selection=chosen,
        plan=plan,
        clip=clip,
        fast_decode=fast_decode,
    )


def check_settings(device: str, precision: str | None, resize_mode: str | None) -> None:
    """Refuse what no model could be run with, before anything is read or downloaded.

    Raises:
        InvalidValue: a device, precision or resize mode that does not exist.
    """
    if device not in ("auto", "cpu", "cuda") and not device.removeprefix("cuda:").isdigit():
        raise InvalidValue("device", device, "auto, cpu, cuda or cuda:N")
    if precision is not None and precision not in get_args(Precision):
        raise InvalidValue("precision", precision, "one of " + ", ".join(get_args(Precision)))
    if resize_mode is not None and resize_mode not in RESIZE_MODES:
        raise InvalidValue("resize_mode", resize_mode, "one of " + ", ".join(RESIZE_MODES))


def refuse_beside_file(
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


def selection_of(metadata: Metadata, asked: Selection | None) -> Selection:
    """Which candidates of an exported file become detections.

    Args:
        metadata: of the file.
        asked: what its user wants; None for what the file says.
    """
    if asked is None:
        return Selection(
            min_score=metadata.min_score,
            iou_threshold=metadata.iou_threshold,
            max_detections=metadata.max_detections,
        )
    if metadata.form.gives == "detections":
        if asked.min_score < metadata.min_score:
            logger.warning(
                "the file has NMS inside and leaves out what scores "
                f"{metadata.min_score:g} or less; a lower one, {asked.min_score:g}, brings "
                "nothing back"
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
    return asked


def predict(
    model: str | Path | Predictor,
    sources: object,
    *,
    batch_size: int = 1,
    keep_images: bool = True,
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
    predictor = model if isinstance(model, Predictor) else load(model)
    return predictor.stream(sources, batch_size=batch_size, keep_images=keep_images)


def _require_torch(model: str | Path) -> None:
    """Refuse a model that is no exported file where torch is not installed."""
    try:
        import_module("torch")
    except ModuleNotFoundError as error:
        raise NeedsTorch(f"A model in the form of {str(model)!r}") from error


def _check_torch(device: str, precision: str | None) -> None:
    """Refuse a device or precision that torch cannot have; a mistake should not cost a download."""
    from ..engines.torch_engine import choose_device, choose_dtype

    choose_dtype(precision or "fp32", choose_device(device))
