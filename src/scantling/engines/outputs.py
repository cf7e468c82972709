"""What a graph gives → candidates, in NumPy: the decoding of `scantling.heads` without torch.

Papers: YOLOv3, https://arxiv.org/abs/1804.02767; Scaled-YOLOv4, https://arxiv.org/abs/2011.08036;
EfficientDet, https://arxiv.org/abs/1911.09070.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidExport
from ..images.letterbox import find_placement
from ..specs.level import Level
from ..specs.metadata import Metadata
from ..structures import Candidates, FloatArray

Size = tuple[int, int]  # (height, width)


def output_names(metadata: Metadata) -> tuple[str, ...]:
    """The names of a graph's outputs, in their order."""
    if metadata.form.gives == "candidates":
        return ("boxes", "scores")
    if metadata.form.gives == "detections":
        return ("detections",)
    per_level = 2 if metadata.levels[0].box_coding == "offset" else 1
    return tuple(f"raw{number}" for number in range(per_level * len(metadata.levels)))


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


def _decode(raw: list[FloatArray], metadata: Metadata, image_size: Size) -> Candidates:
    """Raw predictions of all levels → boxes in pixels of the network's input, and scores."""
    if metadata.levels[0].box_coding == "offset":
        return decode_offsets(raw, metadata, image_size)
    return _join(
        [
            decode_cells(
                one, level, image_size, classes=len(metadata.names), source=metadata.source
            )
            for one, level in zip(raw, metadata.levels, strict=True)
        ]
    )


def decode_cells(
    raw: FloatArray, level: Level, image_size: Size, *, classes: int, source: str = ""
) -> Candidates:
    """Raw predictions of one level of a YOLO → boxes and scores.

    Args:
        raw: (N, A · (5 + K), H, W).
        level: how to read them.
        image_size: (height, width) of the network's input.
        classes: K.
        source: what an error calls the file.

    Returns:
        As `scantling.heads.yolo.decode_level`: ordered by anchor, then row, then column.

    Raises:
        InvalidExport: `raw` has another number of channels.
    """
    anchors = len(level.anchors)
    if raw.ndim != 4 or raw.shape[1] != anchors * (5 + classes):
        raise _unlike(source, f"{raw.shape} where (N, {anchors * (5 + classes)}, H, W) is due")
    images, _, rows, columns = raw.shape
    values = raw.reshape(images, anchors, 5 + classes, rows, columns)
    height, width = image_size
    cell = np.array([width / columns, height / rows], np.float32)[:, None, None]
    corner = np.stack(np.meshgrid(np.arange(columns), np.arange(rows), indexing="xy"))
    corner = corner.astype(np.float32)
    xy = values[:, :, 0:2] if level.activated else _sigmoid(values[:, :, 0:2])
    scale = np.float32(level.scale_xy)
    centre = (corner + (scale * xy - (scale - 1) / 2)) * cell
    anchor = np.array(level.anchors, np.float32)[:, :, None, None]
    wh = values[:, :, 2:4]
    if level.box_coding == "sigmoid":
        size = anchor * np.square(2 * (wh if level.activated else _sigmoid(wh)))
    else:
        with np.errstate(over="ignore"):  # an untrained network's boxes may be that large
            size = anchor * np.exp(wh)
    with np.errstate(invalid="ignore"):
        boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=2)
    chances, objectness = values[:, :, 5:], values[:, :, 4:5]
    if level.class_activation == "softmax":
        chances = _softmax(chances)
    elif not level.activated:
        chances = _sigmoid(chances)
    scores = chances * (objectness if level.activated else _sigmoid(objectness))
    return Candidates(_one_row_a_box(boxes), _one_row_a_box(scores))


def decode_offsets(raw: list[FloatArray], metadata: Metadata, image_size: Size) -> Candidates:
    """Raw predictions of an EfficientDet → boxes and scores.

    Args:
        raw: first per level (N, A · K, H, W) logits, then per level (N, A · 4, H, W) offsets.
        metadata: its levels and names say how to read them.
        image_size: (height, width) of the network's input.

    Returns:
        By level, then row, column and anchor.
    """
    count = len(metadata.levels)
    decoded = []
    for logits, offsets, level in zip(raw[:count], raw[count:], metadata.levels, strict=True):
        anchors = _cell_anchors(offsets, level, image_size)
        moved = _one_row_an_anchor(offsets, 4, metadata.source)
        centres = anchors[:, :2] + moved[..., 1::-1] * anchors[:, 2:]
        with np.errstate(over="ignore"):
            halves = np.exp(moved[..., :1:-1]) * anchors[:, 2:] / 2
        with np.errstate(invalid="ignore"):
            boxes = np.concatenate([centres - halves, centres + halves], axis=-1)
        chances = _sigmoid(_one_row_an_anchor(logits, len(metadata.names), metadata.source))
        decoded.append(Candidates(boxes, chances))
    return _join(decoded)


def _cell_anchors(raw: FloatArray, level: Level, image_size: Size) -> FloatArray:
    """(H · W · A, 4) centre x, centre y, width and height of the anchors around every cell."""
    rows, columns = raw.shape[-2:]
    height, width = image_size[0] / rows, image_size[1] / columns
    y = (np.arange(rows, dtype=np.float32) + np.float32(0.5)) * np.float32(height)
    x = (np.arange(columns, dtype=np.float32) + np.float32(0.5)) * np.float32(width)
    centres = np.stack(np.meshgrid(x, y, indexing="xy"), axis=-1)[:, :, None]
    cell = np.array([width / level.stride, height / level.stride], np.float32)
    sizes = np.array(level.anchors, np.float32) * cell
    shape = (rows, columns, len(level.anchors), 2)
    both = [np.broadcast_to(centres, shape), np.broadcast_to(sizes, shape)]
    return np.concatenate(both, axis=-1).reshape(-1, 4)


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


def _join(levels: list[Candidates]) -> Candidates:
    return Candidates(
        np.concatenate([level.boxes for level in levels], axis=1),
        np.concatenate([level.scores for level in levels], axis=1),
    )


def _one_row_a_box(values: FloatArray) -> FloatArray:
    """(N, A, V, H, W) → (N, A · H · W, V)."""
    images, _, numbers, _, _ = values.shape
    return values.transpose(0, 1, 3, 4, 2).reshape(images, -1, numbers)


def _one_row_an_anchor(level: FloatArray, values: int, source: str) -> FloatArray:
    """(N, A · values, H, W) → (N, H · W · A, values), by row, then column, then anchor."""
    if level.ndim != 4 or level.shape[1] % values:
        raise _unlike(source, f"{level.shape} where (N, A · {values}, H, W) is due")
    return level.transpose(0, 2, 3, 1).reshape(level.shape[0], -1, values)


def _wide(array: NDArray[Any]) -> FloatArray:
    return array.astype(np.float32, copy=False)


def _sigmoid(values: FloatArray) -> FloatArray:
    with np.errstate(over="ignore"):  # far below zero it is 0, as it should be
        chances: FloatArray = np.float32(1) / (np.float32(1) + np.exp(-values))
    return chances


def _softmax(values: FloatArray) -> FloatArray:
    powers: FloatArray = np.exp(values - values.max(axis=2, keepdims=True))
    shares: FloatArray = powers / powers.sum(axis=2, keepdims=True)
    return shares


def _unlike(source: str, given: str) -> InvalidExport:
    return InvalidExport(source, f"it gave {given}", "Export the model again")
