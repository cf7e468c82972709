"""The two sides of a verification: the file in its engine, and what it is held against."""

from collections.abc import Callable
from pathlib import Path

from ..checkpoints import Model, load_model
from ..engines import Engine, is_exported, open_engine, read_card
from ..engines.graphs import make_card
from ..engines.torch_engine import choose_device
from ..errors import InvalidExport, InvalidValue
from ..specs import CATALOG
from ..specs.metadata import Card, Precision
from .reference import FileReference, ModelReference, Reference

MODEL_FILES = (".cfg", ".safetensors", ".pt", ".pth")
COARSENESS: tuple[Precision, ...] = ("fp32", "fp16", "bf16", "int8")

Say = Callable[[str], None]


def open_subject(
    file: str | Path, *, engine: str, device: str, cache: str | Path | None, say: Say
) -> tuple[Engine, Card, Model | None]:
    """What is verified, in its engine.

    Returns:
        The engine; its card, with the precision that it is computed in; and the model, where it is
        no exported file.

    Raises:
        ScantlingError: it cannot be opened, and what to do about it.
    """
    folder = None if cache is None else Path(cache)
    if is_exported(file):
        card = read_card(file)
        running = open_engine(Path(file), engine=engine, device=device, cache=folder, say=say)
        return running, _as_computed(card, running), None
    model = load_model(file, cache=cache, say=say)
    running = open_engine(model, engine=engine, device=device, cache=folder, say=say)
    return running, _as_computed(make_card(model, source=str(file)), running), model


def open_reference(
    against: str | Path | Model | None,
    card: Card,
    file: Path,
    *,
    weights: str | Path | None,
    names: str | Path | None,
    device: str,
    cache: str | Path | None,
    say: Say,
) -> Reference:
    """What a file is held against.

    Args:
        against: as for `verify`.
        card: of the file.
        file: beside which the source may lie.
        weights, names, device, cache, say: as for `verify`.

    Raises:
        InvalidValue: nothing was given, and the source that the card names is not at hand.
        ScantlingError: it cannot be loaded.
    """
    source = find_source(card, file) if against is None else against
    if against is None:
        say(f"comparing with {source}, which the card of the file names as its source")
    if not isinstance(source, Model) and is_exported(source):
        return _open_file(Path(source), card, device)
    if isinstance(source, Model):
        model, called = source, source.spec.name
    else:
        model = load_model(source, weights=weights, names=names, cache=cache, say=say)
        called = str(source)
    return ModelReference(
        model, image_size=card.image_size, source=called, device=choose_device(device)
    )


def find_source(card: Card, file: Path) -> str | Path:
    """The model that a card names as its source.

    Raises:
        InvalidValue: there is no such file or name.
    """
    named = Path(card.source)
    if named.suffix.lower() in MODEL_FILES:
        for path in (named, file.parent / named.name):
            if path.is_file():
                return path
    elif card.source in CATALOG:
        return card.source
    raise InvalidValue(
        "against",
        None,
        f"the model to compare with: {file.name} was made from {card.source!r}, which is neither "
        "a model of the catalogue nor a file at that path or beside it. Give --against MODEL",
    )


def _open_file(path: Path, card: Card, device: str) -> FileReference:
    """Another exported file as what is true."""
    own = read_card(path)
    form = own.form
    if form.gives == "detections" or form.takes == "image" or form.batch not in (1, None):
        raise InvalidExport(
            str(path),
            "it fits images by itself, gives detections, or takes several images at once, so its "
            "tensors cannot be compared",
            "Compare with the model it was made from, or with a file that gives candidates",
        )
    if own.image_size != card.image_size and not own.form.any_size:
        raise InvalidExport(
            str(path),
            f"it takes {own.image_size[0]}×{own.image_size[1]} pixels, the other "
            f"{card.image_size[0]}×{card.image_size[1]}",
            "Compare files of one image size",
        )
    running = open_engine(path, device=device)
    levelled = own.model_copy(update={"image_size": card.image_size})
    return FileReference(running, levelled, source=str(path))


def _as_computed(card: Card, running: Engine) -> Card:
    """The card with the coarser of two precisions: the file's, and the one it is computed in."""
    known = [one for one in COARSENESS if one in (card.precision, running.precision)]
    return card.model_copy(update={"precision": known[-1] if known else card.precision})
