"""What a file is held against: a model in eager PyTorch, or another exported file."""

import hashlib
from collections import deque
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import nn

from ..checkpoints import Model
from ..engines import Engine
from ..engines.graphs import make_metadata
from ..engines.outputs import as_candidates, output_names
from ..specs.level import Level
from ..specs.metadata import GraphForm, Metadata, Precision
from ..structures import Candidates, FloatArray, Image
from .inputs import InputChange, normalise
from .rounding import rounded

Size = tuple[int, int]
KEPT, KEPT_PIXELS = 6, 1 << 20  # answers that are kept, to canvases of this size at most


@dataclass(frozen=True, eq=False)
class Told:
    """What was said of one canvas, all of it.

    Args:
        boxes: (P, 4) xyxy in pixels of the canvas.
        scores: (P, K).
        raw: of each output (C, H, W); none where it is not to be had.
    """

    boxes: FloatArray
    scores: FloatArray
    raw: tuple[FloatArray, ...] = ()


class Reference(Protocol):
    """What tells the truth.

    Attributes:
        metadata: what it is; its levels say how raw predictions are decoded.
        describes: in words.
    """

    metadata: Metadata
    describes: str

    def tell(self, canvas: Image, *, change: InputChange | None = None) -> Told | None:
        """What it says of an (H, W, 3) canvas; None where it cannot be fed such a change."""
        ...

    def rounded(self, precision: Precision) -> "Reference | None":
        """The same, computed as badly as a file of that precision; None where it cannot be."""
        ...


class ModelReference:
    """A model in eager fp32: no norm is fused, no layer rewritten.

    Args:
        model: which; it stays as it is.
        image_size: (height, width) of the file's input.
        source: what it is called.
        device: where it runs.
    """

    def __init__(
        self, model: Model, *, image_size: Size, source: str, device: torch.device
    ) -> None:
        self.metadata = make_metadata(
            model, form=GraphForm(gives="raw"), image_size=image_size, source=source
        )
        self.describes = f"{source}, eager fp32"
        self._device = device
        network = deepcopy(model.network).eval().requires_grad_(False)
        self._network: nn.Module = network.float().to(device)
        self._decode = model.network.decode
        self._kept: deque[tuple[str, Told]] = deque(maxlen=KEPT)
        spec = model.spec.input
        self._mean, self._std = (
            torch.tensor(values, device=device).view(3, 1, 1) for values in (spec.mean, spec.std)
        )

    def tell(self, canvas: Image, *, change: InputChange | None = None) -> Told:
        """What it says of an (H, W, 3) canvas."""
        if change is not None or canvas.shape[0] * canvas.shape[1] > KEPT_PIXELS:
            return self._run(canvas, change)
        key = hashlib.sha256(np.ascontiguousarray(canvas).data).hexdigest()
        for known, told in self._kept:
            if known == key:
                return told
        told = self._run(canvas, None)
        self._kept.append((key, told))
        return told

    @torch.inference_mode()
    def _run(self, canvas: Image, change: InputChange | None) -> Told:
        pixels = torch.from_numpy(np.array(canvas)[None]).to(self._device)
        apply = normalise if change is None else change.apply
        fed = apply(pixels.permute(0, 3, 1, 2).float() / 255, self._mean, self._std)
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            raw = self._network(fed.contiguous())
        decoded = self._decode(raw, (canvas.shape[0], canvas.shape[1]))
        arrays = tuple(level[0].float().cpu().numpy() for level in raw)
        return Told(decoded.boxes[0].cpu().numpy(), decoded.scores[0].cpu().numpy(), arrays)

    def rounded(self, precision: Precision) -> "ModelReference":
        """The same, computed as badly as a file of that precision."""
        copy = ModelReference.__new__(ModelReference)
        copy.__dict__.update(self.__dict__)
        copy._network = rounded(self._network, precision)
        copy._kept = deque(maxlen=KEPT)
        return copy


class FileReference:
    """Another exported file, which gives raw predictions or candidates.

    Args:
        engine: runs it.
        metadata: what it says of itself.
        source: what it is called.
    """

    def __init__(self, engine: Engine, metadata: Metadata, *, source: str) -> None:
        self.metadata = metadata
        self.describes = f"{source}, {engine.description}"
        self._engine = engine

    def tell(self, canvas: Image, *, change: InputChange | None = None) -> Told | None:
        """What it says of an (H, W, 3) canvas."""
        fed = canvas if change is None else _as_pixels(canvas, change, self.metadata)
        return None if fed is None else run_file(self._engine, self.metadata, fed)

    def rounded(self, precision: Precision) -> None:
        """Nobody can compute it otherwise than it is."""


def run_file(engine: Engine, metadata: Metadata, image: Image) -> Told:
    """What a file says of an (H, W, 3) image; of a fixed number of images it is asked as the last.

    Boxes are in pixels of that image; of a graph that gives raw predictions, of the canvas.

    Raises:
        InvalidExport: it gives arrays of other shapes than its metadata promises.
    """
    batch = np.repeat(np.ascontiguousarray(image)[None], metadata.form.batch or 1, axis=0)
    outputs = engine.run(batch)
    size, read = (image.shape[0], image.shape[1]), metadata
    if (
        metadata.form.gives == "raw" and metadata.form.takes == "image"
    ):  # how it fitted them is not said
        size = metadata.image_size
        read = metadata.model_copy(update={"form": GraphForm(gives="raw")})
    decoded = as_candidates(outputs, read, size)
    raw: tuple[FloatArray, ...] = ()
    if metadata.form.gives == "raw":
        raw = tuple(np.asarray(outputs[name][-1], np.float32) for name in output_names(metadata))
    return Told(np.asarray(decoded.boxes[-1]), np.asarray(decoded.scores[-1]), raw)


def decode(raw: Sequence[FloatArray], metadata: Metadata, levels: Sequence[Level]) -> Told | None:
    """Raw predictions of one canvas read in another way; None where they cannot be.

    Args:
        raw: as `Told.raw`.
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
    return Told(found.boxes[0], found.scores[0], tuple(raw))


def _as_pixels(canvas: Image, change: InputChange, metadata: Metadata) -> Image | None:
    """A changed input as whole numbers from 0 to 255; None where they cannot say it."""
    spec = metadata.input_spec
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (spec.mean, spec.std))
    pixels = torch.from_numpy(canvas.astype(np.float32) / 255).permute(2, 0, 1)[None]
    fed = change.apply(pixels, mean, std) * std + mean
    if fed.min() < -1e-3 or fed.max() > 1 + 1e-3:
        return None
    whole = (fed[0].permute(1, 2, 0) * 255).round().clamp(0, 255)
    return whole.numpy().astype(np.uint8)
