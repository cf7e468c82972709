"""The reference of a verification: a model in eager PyTorch, or another exported file."""

import hashlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ..checkpoints import Model
from ..checkpoints.load import CHECKPOINTS
from ..engines import Engine, EngineSettings, is_exported, open_engine, read_metadata
from ..engines.files import as_candidates, output_names
from ..engines.graphs import make_metadata
from ..engines.torch_engine import choose_device
from ..errors import InvalidExport, InvalidValue
from ..specs import CATALOG
from ..specs.level import Level
from ..specs.metadata import GraphForm, Metadata, Precision
from ..structures import Candidates, FloatArray, Image
from .distance import Output
from .rounding import rounded

logger = logging.getLogger(__name__)

Size = tuple[int, int]
KEPT, KEPT_PIXELS = 6, 1 << 20  # outputs that are cached, of canvases of this size at most


@dataclass(frozen=True)
class InputChange:
    """An error in front of the network.

    Args:
        name: of the fault.
        evidence: what the model is fed when it answers as the file does.
        apply: (N, 3, H, W) RGB from 0 to 1, mean (3, 1, 1) and std (3, 1, 1) → what the network is
            fed.
    """

    name: str
    evidence: str
    apply: Callable[[Tensor, Tensor, Tensor], Tensor]


def normalise(pixels: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """The right input: pixels from 0 to 1, less the mean, over the standard deviation."""
    return (pixels - mean) / std


class Reference(Protocol):
    """What the candidate is compared with.

    Attributes:
        metadata: its own; the levels say how raw predictions are decoded.
        description: one line for people.
        any_size: whether it takes images of other sizes than its usual one.
    """

    metadata: Metadata
    description: str
    any_size: bool

    def run(self, canvas: Image, *, change: InputChange | None = None) -> Output | None:
        """Its output for an (H, W, 3) canvas; None where its input cannot be changed so."""
        ...

    def rounded(self, precision: Precision) -> "Reference | None":
        """The same in another precision; None where it cannot be rounded."""
        ...

    def close(self) -> None:
        """Let go of what runs it."""
        ...


class ModelReference:
    """A PyTorch model in eager fp32: no norm is fused, no layer rewritten.

    Args:
        model: which; it stays as it is.
        image_size: (height, width) of the file's input.
        source: what it is called.
        device: where it runs.
    """

    any_size = True

    def __init__(
        self, model: Model, *, image_size: Size, source: str, device: torch.device
    ) -> None:
        self.metadata = make_metadata(
            model, form=GraphForm(gives="raw"), image_size=image_size, source=source
        )
        self.description = f"{source}, eager fp32"
        self._device = device
        network = deepcopy(model.network).eval().requires_grad_(False)
        self._network: nn.Module = network.float().to(device)
        self._decode = model.network.decode
        self._cached: deque[tuple[str, Output]] = deque(maxlen=KEPT)
        spec = model.spec.input
        self._mean, self._std = (
            torch.tensor(values, device=device).view(3, 1, 1) for values in (spec.mean, spec.std)
        )

    def run(self, canvas: Image, *, change: InputChange | None = None) -> Output:
        """Its output for an (H, W, 3) canvas."""
        if change is not None or canvas.shape[0] * canvas.shape[1] > KEPT_PIXELS:
            return self._run(canvas, change)
        key = hashlib.sha256(np.ascontiguousarray(canvas).data).hexdigest()
        for known, output in self._cached:
            if known == key:
                return output
        output = self._run(canvas, None)
        self._cached.append((key, output))
        return output

    @torch.inference_mode()
    def _run(self, canvas: Image, change: InputChange | None) -> Output:
        pixels = torch.from_numpy(np.array(canvas)[None]).to(self._device)
        apply = normalise if change is None else change.apply
        fed = apply(pixels.permute(0, 3, 1, 2).float() / 255, self._mean, self._std)
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            raw = self._network(fed.contiguous())
        decoded = self._decode(raw, (canvas.shape[0], canvas.shape[1]))
        arrays = tuple(level[0].float().cpu().numpy() for level in raw)
        return Output(decoded.boxes[0].cpu().numpy(), decoded.scores[0].cpu().numpy(), arrays)

    def rounded(self, precision: Precision) -> "ModelReference":
        """The same with weights and features rounded to another precision, see `rounded`."""
        copy = ModelReference.__new__(ModelReference)
        copy.__dict__.update(self.__dict__)
        copy._network = rounded(self._network, precision)
        copy._cached = deque(maxlen=KEPT)
        return copy

    def close(self) -> None:
        """There is nothing to let go of."""


class FileReference:
    """Another exported file, which gives raw predictions or candidates.

    Args:
        engine: runs it.
        metadata: what it says of itself.
        source: what it is called.
    """

    def __init__(self, engine: Engine, metadata: Metadata, *, source: str) -> None:
        self.metadata = metadata
        self.description = f"{source}, {engine.description}"
        self.any_size = metadata.form.any_size
        self._engine = engine

    def run(self, canvas: Image, *, change: InputChange | None = None) -> Output | None:
        """Its output for an (H, W, 3) canvas."""
        fed = canvas if change is None else _as_pixels(canvas, change, self.metadata)
        return None if fed is None else run_file(self._engine, self.metadata, fed)

    def rounded(self, precision: Precision) -> None:
        """None: the graph in a file cannot be rounded."""

    def close(self) -> None:
        """Close its engine."""
        self._engine.close()


def run_file(engine: Engine, metadata: Metadata, image: Image) -> Output:
    """The output of a file for an (H, W, 3) image; of a fixed batch of it, the last."""
    batch = np.repeat(np.ascontiguousarray(image)[None], metadata.form.batch or 1, axis=0)
    return run_batch(engine, metadata, batch)[-1]


def run_batch(engine: Engine, metadata: Metadata, images: Image) -> list[Output]:
    """The outputs of a file for (N, H, W, 3) images, which it is given at once.

    Boxes are in pixels of the images; of a graph that gives raw predictions, of the canvas.

    Raises:
        InvalidExport: it gives arrays of other shapes than its metadata promises.
    """
    outputs = engine.run(images)
    size, read = (images.shape[1], images.shape[2]), metadata
    # a graph that resizes images does not say how it did
    if metadata.form.gives == "raw" and metadata.form.takes == "image":
        size = metadata.image_size
        read = metadata.model_copy(update={"form": GraphForm(gives="raw")})
    decoded = as_candidates(outputs, read, size)
    boxes, scores = np.asarray(decoded.boxes), np.asarray(decoded.scores)
    names = output_names(metadata) if metadata.form.gives == "raw" else ()
    return [
        Output(
            boxes[row],
            scores[row],
            tuple(np.asarray(outputs[name][row], np.float32) for name in names),
        )
        for row in range(len(boxes))
    ]


def decode(raw: Sequence[FloatArray], metadata: Metadata, levels: Sequence[Level]) -> Output | None:
    """Decode raw predictions of one canvas by other levels; None where the shapes do not fit.

    Args:
        raw: as `Output.raw`.
        metadata: of the model.
        levels: the other way.
    """
    changed = metadata.model_copy(update={"levels": tuple(levels)})
    names = output_names(changed)
    if len(names) != len(raw):
        return None
    arrays = {name: level[None] for name, level in zip(names, raw, strict=True)}
    with np.errstate(all="ignore"):
        found: Candidates = as_candidates(arrays, changed, metadata.image_size)
    return Output(found.boxes[0], found.scores[0], tuple(raw))


def _as_pixels(canvas: Image, change: InputChange, metadata: Metadata) -> Image | None:
    """A changed input as uint8 pixels; None where it lies outside of 0 to 255."""
    spec = metadata.input_spec
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (spec.mean, spec.std))
    pixels = torch.from_numpy(canvas.astype(np.float32) / 255).permute(2, 0, 1)[None]
    fed = change.apply(pixels, mean, std) * std + mean
    if fed.min() < -1e-3 or fed.max() > 1 + 1e-3:
        return None
    whole = (fed[0].permute(1, 2, 0) * 255).round().clamp(0, 255)
    return whole.numpy().astype(np.uint8)


def open_reference(
    against: str | Path | Model | None,
    metadata: Metadata,
    file: Path,
    *,
    load: Callable[[str | Path], Model],
    device: str,
) -> Reference:
    """Open the reference of a file: a model, or another exported file.

    Args:
        against: as for `verify`.
        metadata: of the file.
        file: the source is looked for beside it.
        load: loads a model by its name or path.
        device: where the reference runs.

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
        model, called = load(source), str(source)
    return ModelReference(
        model, image_size=metadata.image_size, source=called, device=choose_device(device)
    )


def find_source(metadata: Metadata, file: Path) -> str | Path:
    """Find the model that metadata names as its source.

    Raises:
        InvalidValue: there is no such file or name.
    """
    named = Path(metadata.source)
    if named.suffix.lower() in (".cfg", *CHECKPOINTS):
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
    """Open another exported file as the reference."""
    own = read_metadata(path)
    form = own.form
    if form.gives == "detections" or form.takes == "image" or form.batch not in (1, None):
        raise InvalidExport(
            str(path),
            "it resizes images by itself, gives detections, or takes several images at once: its "
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
    running = open_engine(path, EngineSettings(device=device), metadata=own)
    levelled = own.model_copy(update={"image_size": metadata.image_size})
    return FileReference(running, levelled, source=str(path))
