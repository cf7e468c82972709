"""What is measured: models × engines × precisions × sizes × threads × streams, each a contender."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InvalidValue, ScantlingError
from ..specs import CATALOG
from ..specs.classes import unnamed_classes
from ..structures import as_size

if TYPE_CHECKING:
    from ..checkpoints import Model


@dataclass(frozen=True)
class Source:
    """A model as a user names it.

    Args:
        model: a name of the catalogue, a `.cfg`, a checkpoint or an exported file.
        weights: of a `.cfg`, or in place of a named model's own.
        label: what it is called in the results; its name if empty.
    """

    model: str | Path
    weights: str | Path | None = None
    label: str = ""

    @property
    def name(self) -> str:
        """What it is called in the results."""
        if self.label:
            return self.label
        path = Path(self.model)
        return path.name if path.suffix else str(self.model)


@dataclass(frozen=True)
class Contender:
    """One row of a benchmark: a model, and all that says how it is run.

    Args:
        source: the model.
        engine: a name, or `auto`.
        precision: None for that of an exported file, and fp32 of other models.
        image_size: (height, width), or None for the model's own.
        batch: images that the network sees at once.
        threads: None for what the engine takes by itself.
        streams: batches that the engine works on at once.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
    """

    source: Source
    engine: str = "auto"
    precision: str | None = None
    image_size: tuple[int, int] | None = None
    batch: int = 1
    threads: int | None = None
    streams: int = 1
    device: str = "auto"

    @property
    def settings(self) -> dict[str, Any]:
        """What `scantling.load` is told, as plain values."""
        told: dict[str, Any] = {
            "model": str(self.source.model),
            "engine": self.engine,
            "device": self.device,
            "image_size": self.image_size,
            "threads": self.threads,
            "streams": self.streams,
        }
        if self.source.weights is not None:
            told["weights"] = str(self.source.weights)
        if self.precision is not None:
            told["precision"] = self.precision
        return told


def make_contenders(
    sources: Sequence[Source],
    *,
    engines: Sequence[str],
    precisions: Sequence[str | None],
    image_sizes: Sequence[int | tuple[int, int] | None],
    batch_sizes: Sequence[int],
    threads: Sequence[int | None],
    streams: Sequence[int],
    device: str,
) -> list[Contender]:
    """Every combination, the first model first.

    Raises:
        InvalidValue: nothing to measure, or a number that cannot be.
    """
    for name, numbers in (("batch", batch_sizes), ("threads", threads), ("streams", streams)):
        wrong = [number for number in numbers if number is not None and number < 1]
        if wrong:
            raise InvalidValue(name, wrong[0], "a whole number from 1")
    found = [
        Contender(
            source,
            engine,
            precision,
            None if size is None else as_size(size),
            batch,
            count,
            lanes,
            device,
        )
        for source, engine, precision, size, batch, count, lanes in product(
            sources, engines, precisions, image_sizes, batch_sizes, threads, streams
        )
    ]
    if not found:
        raise InvalidValue("models", [], "one model or more")
    return list(dict.fromkeys(found))


def read_source(text: str) -> Source:
    """`MODEL`, or `MODEL=WEIGHTS` for a model whose weights lie elsewhere.

    >>> read_source("tiny.cfg=best.weights").weights
    'best.weights'
    """
    model, equals, weights = text.partition("=")
    if not equals or Path(text).exists():
        return Source(text)
    if not model or not weights:
        raise InvalidValue("MODEL", text, "a model, or MODEL=WEIGHTS")
    return Source(model, weights)


def name_sources(models: Sequence[str | Path | Source | Model], folder: Path) -> Iterator[Source]:
    """Each model as a source; one that lives in memory is written into the folder.

    Args:
        models: what a user gave.
        folder: for weights that are in no file yet.
    """
    for number, model in enumerate(models):
        if isinstance(model, Source):
            yield model
        elif isinstance(model, str):
            yield read_source(model)
        elif isinstance(model, Path):
            yield Source(model)
        else:
            yield _write(model, folder / f"{number}.safetensors", model.spec.name)


def with_fresh_weights(source: Source, path: Path) -> Source:
    """A named model or a `.cfg` with random weights, in a file; others as they are.

    How fast a network is does not depend on its weights; what it finds does, so that selecting
    among candidates is at its cheapest.

    Args:
        source: a model.
        path: of the `.safetensors` to write.
    """
    import torch

    from ..checkpoints import Model, create_model
    from ..darknet import build_cfg_network, read_cfg

    text = str(source.model)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if text in CATALOG:
            model = create_model(text)
        elif text.lower().endswith(".cfg"):
            spec = read_cfg(text)
            names = unnamed_classes(spec.num_classes)
            model = Model(spec, build_cfg_network(spec), names)
        else:
            return source
    model.network.eval()
    return _write(model, path, source.name)


def _write(model: Model, path: Path, label: str) -> Source:
    from ..checkpoints.native import save_model

    save_model(model, path)
    return Source(path, label=label)


def explain(error: Exception) -> str:
    """Why a contender cannot be measured, in one line."""
    text = " ".join(str(error).split())
    if isinstance(error, ScantlingError):
        return text
    return f"{type(error).__name__}: {text}"[:500]
