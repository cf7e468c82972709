"""The two sides of a verification: the file in its engine, and what it is held against."""

import logging
from pathlib import Path

from ..checkpoints import Model, load_model
from ..engines import Engine, is_exported, open_engine, read_metadata
from ..engines.graphs import make_metadata
from ..engines.torch_engine import choose_device
from ..errors import InvalidExport, InvalidValue
from ..specs import CATALOG
from ..specs.metadata import Metadata, Precision
from .reference import FileReference, ModelReference, Reference

logger = logging.getLogger(__name__)

MODEL_FILES = (".cfg", ".safetensors", ".pt", ".pth")
COARSENESS: tuple[Precision, ...] = ("fp32", "fp16", "bf16", "int8")


def open_subject(
    file: str | Path,
    *,
    engine: str,
    device: str,
    cache: str | Path | None,
) -> tuple[Engine, Metadata, Model | None]:
    """What is verified, in its engine.

    Returns:
        The engine; its metadata, with the precision that it is computed in; and the model, where it
        is no exported file.

    Raises:
        ScantlingError: it cannot be opened, and what to do about it.
    """
    folder = None if cache is None else Path(cache)
    if is_exported(file):
        metadata = read_metadata(file)
        running = open_engine(Path(file), engine=engine, device=device, cache=folder)
        return running, _as_computed(metadata, running), None
    model = load_model(file, cache=cache)
    running = open_engine(model, engine=engine, device=device, cache=folder)
    return running, _as_computed(make_metadata(model, source=str(file)), running), model


def open_reference(
    against: str | Path | Model | None,
    metadata: Metadata,
    file: Path,
    *,
    weights: str | Path | None,
    names: str | Path | None,
    device: str,
    cache: str | Path | None,
) -> Reference:
    """What a file is held against.

    Args:
        against: as for `verify`.
        metadata: of the file.
        file: beside which the source may lie.
        weights, names, device, cache: as for `verify`.

    Raises:
        InvalidValue: nothing was given, and the source that the metadata names is not at hand.
        ScantlingError: it cannot be loaded.
    """
    source = find_source(metadata, file) if against is None else against
    if against is None:
        logger.info(f"comparing with {source}, which the metadata of the file names as its source")
    if not isinstance(source, Model) and is_exported(source):
        return _open_file(Path(source), metadata, device)
    if isinstance(source, Model):
        model, called = source, source.spec.name
    else:
        model = load_model(source, weights=weights, names=names, cache=cache)
        called = str(source)
    return ModelReference(
        model, image_size=metadata.image_size, source=called, device=choose_device(device)
    )


def find_source(metadata: Metadata, file: Path) -> str | Path:
    """The model that metadata names as its source.

    Raises:
        InvalidValue: there is no such file or name.
    """
    named = Path(metadata.source)
    if named.suffix.lower() in MODEL_FILES:
        for path in (named, file.parent / named.name):
            if path.is_file():
                return path
    elif metadata.source in CATALOG:
        return metadata.source
    raise InvalidValue(
        "against",
        None,
        f"the model to compare with: {file.name} was made from {metadata.source!r}, which "
        "is neither a model of the catalogue nor a file at that path or beside it. "
        "Give --against MODEL",
    )


def _open_file(path: Path, metadata: Metadata, device: str) -> FileReference:
    """Another exported file as what is true."""
    own = read_metadata(path)
    form = own.form
    if form.gives == "detections" or form.takes == "image" or form.batch not in (1, None):
        raise InvalidExport(
            str(path),
            "it fits images by itself, gives detections, or takes several images at once, so its "
            "tensors cannot be compared",
            "Compare with the model it was made from, or with a file that gives candidates",
        )
    if own.image_size != metadata.image_size and not own.form.any_size:
        raise InvalidExport(
            str(path),
            f"it takes {own.image_size[0]}×{own.image_size[1]} pixels, the other "
            f"{metadata.image_size[0]}×{metadata.image_size[1]}",
            "Compare files of one image size",
        )
    running = open_engine(path, device=device)
    levelled = own.model_copy(update={"image_size": metadata.image_size})
    return FileReference(running, levelled, source=str(path))


def _as_computed(metadata: Metadata, running: Engine) -> Metadata:
    """The metadata with the coarser precision: the file's, or the one it is computed in."""
    known = [one for one in COARSENESS if one in (metadata.precision, running.precision)]
    return metadata.model_copy(update={"precision": known[-1] if known else metadata.precision})
