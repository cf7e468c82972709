"""What exported files say and give, without any runtime: metadata, and arrays → candidates."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from ..errors import InvalidExport, lookup, unreadable
from ..heads import HEADS, HeadKind, RawLayout
from ..images.letterbox import find_placement
from ..io import regular_size
from ..specs.metadata import PT2_ADVICE, Metadata
from ..structures import Candidates, FloatArray
from .formats import FORMATS
from .formats.format import AGAIN, MAX_METADATA
from .runtimes import find_format

Size = tuple[int, int]  # (height, width)

MAX_SIDE = 8192  # pixels of an input


def read_metadata(path: str | Path) -> Metadata:
    """Read the metadata in an exported file. It runs nothing of the file.

    Raises:
        InvalidExport: there is no such file, it is damaged or not of this kind, it carries no
            metadata or some that contradicts itself, or it asks for what an exported file
            never needs: other files, code, control flow.
    """
    path = Path(path)
    if path.suffix.lower() == ".pt2":
        raise InvalidExport(str(path), "programs of torch.export are no longer read", PT2_ADVICE)
    kind = find_format(path)
    if kind is None:
        known = ", ".join(one.suffix for one in FORMATS.values())
        problem = f"its suffix is {path.suffix.lower()!r}"
        raise InvalidExport(str(path), problem, f"Name a file that ends {known}")
    try:
        regular_size(path)
        data = kind.read_metadata(path)
    except OSError as error:
        raise InvalidExport(str(path), unreadable(error), "Check the name") from error
    if data is None:
        raise InvalidExport(str(path), "it says nothing of the model in it", AGAIN)
    return parse_metadata(data, str(path))


def parse_metadata(data: str | bytes, source: str) -> Metadata:
    """Parse and check the JSON of metadata.

    Raises:
        InvalidExport: it is not valid.
    """
    if len(data) > MAX_METADATA:
        raise InvalidExport(source, f"its metadata has {len(data):,} bytes", AGAIN)
    try:
        metadata = Metadata.model_validate_json(data)
    except (ValidationError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidExport(
            source, f"its metadata does not hold: {_first(error)}", AGAIN
        ) from error
    if max(metadata.image_size) > MAX_SIDE:
        problem = f"its input has {metadata.image_size[0]} by {metadata.image_size[1]} pixels"
        raise InvalidExport(source, problem, f"Sides of {MAX_SIDE} pixels are the most")
    _check_head(metadata, source)
    return metadata


def _check_head(metadata: Metadata, source: str) -> None:
    """Refuse raw predictions that nothing here can decode. Other graphs hold their own decoder."""
    head = metadata.spec.head_kind
    kind = HEADS.get(head)
    if kind is None:
        if metadata.form.gives == "raw":
            known = ", ".join(sorted(HEADS))
            raise InvalidExport(source, f"no head is called {head[:100]!r}", f"Known: {known}")
        return
    for level in metadata.levels:
        if level.box_coding not in kind.box_codings:
            expected = " or ".join(map(repr, kind.box_codings))
            problem = f"box_coding of its head {head} is {level.box_coding!r}"
            raise InvalidExport(source, problem, f"Expected {expected}; export the model again")


def _first(error: Exception) -> str:
    """The first error in metadata."""
    if isinstance(error, ValidationError):
        one = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in one["loc"])[:100]
        return f"{where}: {one['msg'][:200]}" if where else str(one["msg"])[:200]
    return str(error)[:200]


def output_names(metadata: Metadata) -> tuple[str, ...]:
    """The names of a graph's outputs, in their order."""
    if metadata.form.gives == "candidates":
        return ("boxes", "scores")
    if metadata.form.gives == "detections":
        return ("detections",)
    outputs = layout_of(metadata).channels(metadata.levels, len(metadata.names))
    return tuple(f"raw{number}" for number in range(len(outputs)))


def as_candidates(
    outputs: Mapping[str, NDArray[Any]], metadata: Metadata, image_size: Size
) -> Candidates:
    """What a graph gave, as candidates of numpy arrays.

    Args:
        outputs: by name, as `output_names` lists them.
        metadata: of the graph.
        image_size: (height, width) of the images that it saw.

    Returns:
        Boxes in pixels of those images, also where the graph says raw what it saw on a canvas.

    Raises:
        InvalidExport: arrays of other shapes than the metadata promises.
    """
    arrays = [_wide(outputs[name]) for name in output_names(metadata)]
    if metadata.form.gives == "candidates":
        found = Candidates(arrays[0], arrays[1])
    elif metadata.form.gives == "detections":
        found = _of_detections(arrays[0], metadata)
    elif metadata.form.takes == "image":
        canvas = _decode(arrays, metadata, metadata.image_size)
        placement = find_placement(
            image_size, metadata.image_size, resize_mode=metadata.input_spec.resize_mode
        )
        found = Candidates(placement.undo(canvas.boxes, clip=False), canvas.scores)
    else:
        found = _decode(arrays, metadata, image_size)
    boxes, scores = found.boxes.shape, found.scores.shape
    if len(boxes) != 3 or scores != (*boxes[:2], len(metadata.names)) or boxes[2] != 4:
        raise _unlike(metadata.source, f"boxes {boxes} and scores {scores}")
    return found


def layout_of(metadata: Metadata) -> RawLayout:
    """What of a graph's raw outputs is what."""
    return _head_kind(metadata).layout


def _decode(raw: list[FloatArray], metadata: Metadata, image_size: Size) -> Candidates:
    """Raw predictions of all levels → boxes in pixels of the network's input, and scores."""
    kind = _head_kind(metadata)
    channels = kind.layout.channels(metadata.levels, len(metadata.names))
    for maps, count in zip(raw, channels, strict=True):
        if maps.ndim != 4 or maps.shape[1] != count:
            raise _unlike(metadata.source, f"{maps.shape} where (N, {count}, H, W) is due")
    return kind.decode(raw, metadata.levels, image_size)


def _head_kind(metadata: Metadata) -> HeadKind:
    return lookup(HEADS, metadata.spec.head_kind, "head")


def _of_detections(rows: FloatArray, metadata: Metadata) -> Candidates:
    """(N, M, 6) box, score and label → every row as a box with one class."""
    if rows.ndim != 3 or rows.shape[2] != 6:
        raise _unlike(metadata.source, f"detections {rows.shape} where (N, M, 6) is due")
    classes = len(metadata.names)
    labels = rows[..., 5]
    known = (labels >= 0) & (labels < classes)  # a NaN is neither
    scores = np.zeros((*rows.shape[:2], classes), np.float32)
    place = np.where(known, labels, 0).astype(np.int64)[..., None]
    np.put_along_axis(scores, place, np.where(known, rows[..., 4], 0)[..., None], axis=2)
    return Candidates(np.ascontiguousarray(rows[..., :4]), scores)


def _wide(array: NDArray[Any]) -> FloatArray:
    return array.astype(np.float32, copy=False)


def _unlike(source: str, given: str) -> InvalidExport:
    return InvalidExport(source, f"it gave {given}", "Export the model again")
