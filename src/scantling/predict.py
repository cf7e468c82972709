"""Images, folders, videos and streams → what is in them."""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Literal

from .checkpoints import load_model
from .data import Plan
from .data.letterbox import FITS
from .engines.torch_engine import TorchEngine, choose_device, choose_dtype
from .errors import InvalidValue
from .postprocess import Selection
from .predictor import FilePrediction, Prediction, Predictor, StageSeconds

__all__ = ["FilePrediction", "Prediction", "Predictor", "StageSeconds", "load", "predict"]


def load(
    model: str | Path,
    *,
    weights: str | Path | None = None,
    names: str | Path | None = None,
    device: str = "auto",
    precision: str = "fp32",
    image_size: int | tuple[int, int] | None = None,
    fit: Literal["letterbox", "corner", "stretch"] | None = None,
    selection: Selection | None = None,
    plan: Plan | None = None,
    clip: bool = True,
    cache: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> Predictor:
    """Get a model ready to find objects.

    >>> predictor = load("yolov4-tiny")  # doctest: +SKIP
    >>> predictor("dog.jpg").scores  # doctest: +SKIP

    Args:
        model: a name of the catalogue, or a `.cfg`, `.safetensors`, `.pt` or `.pth` file.
        weights: darknet weights, where the model needs them.
        names: a file of class names, one a line, where the model brings none.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: `fp32`, `bf16`, `fp16` or `auto`; see `TorchEngine`.
        image_size: (height, width) of the network's input, or the side of a square.
        fit: how an image is made to fit it; the model's own way if None.
        selection: which candidates become detections.
        plan: the views of each image that the network is shown, such as `TTA`; one if None.
        clip: cut boxes off at the edge of the image.
        cache: folder for downloaded weights.
        progress: called with the bytes so far and in all while weights are downloaded.
        say: told what was found or concluded without being asked for.

    Raises:
        ScantlingError: the model, its files or a setting do not fit, and what to do about it.
    """
    choose_dtype(precision, choose_device(device))  # a mistake should not cost a download
    if fit is not None and fit not in FITS:
        raise InvalidValue("fit", fit, "one of " + ", ".join(FITS))
    loaded = load_model(
        model,
        weights=weights,
        names=names,
        cache=cache,
        progress=progress,
        say=say or (lambda _: None),
    )
    engine = TorchEngine(loaded, device=device, precision=precision, image_size=image_size)
    own = loaded.spec.input
    return Predictor(
        engine,
        loaded.names,
        input_spec=own.replace(fit=fit or own.fit),
        selection=selection,
        plan=plan,
        clip=clip,
    )


def predict(
    model: str | Path | Predictor,
    sources: object,
    *,
    batch_size: int = 1,
) -> Generator[Prediction, None, None]:
    """Find the objects in images, folders, videos and streams, one prediction after the other.

    >>> for prediction in predict("yolov4-tiny", "photos/"):  # doctest: +SKIP
    ...     print(prediction.frame.name, prediction.detections)

    Args:
        model: what `load` returned; or its first argument, to load with the defaults.
        sources: see `Predictor.stream`.
        batch_size: views that the network sees at once: images, where each has one view.

    Raises:
        ScantlingError: as `load` and `Predictor.stream`.
    """
    predictor = model if isinstance(model, Predictor) else load(model)
    return predictor.stream(sources, batch_size=batch_size)
