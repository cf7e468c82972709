"""Adapter for albumentations pipelines; albumentations itself is not imported.

Whatever looks like `albumentations.Compose` will do: it is called as
`pipeline(image=…, bboxes=…, **label_fields)`, has `processors["bboxes"].params` with `format` and
`label_fields`, and `set_random_seed(seed)`.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidValue
from ..structures import FloatArray, Sample
from .geometry import clip_boxes, large_enough

_FORMATS = ("pascal_voc", "albumentations", "coco", "yolo")
_NEEDED = "an albumentations.Compose (1.4.19 or newer) with bbox_params"


@dataclass(frozen=True)
class Albumentations:
    """A pipeline of albumentations as a transform. Make it with `from_albumentations`."""

    pipeline: Any
    format: str
    label_fields: tuple[str, ...]

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        self.pipeline.set_random_seed(int(rng.integers(2**31)))
        size = (sample.image.shape[0], sample.image.shape[1])
        rows = _encode(sample.boxes, size, self.format)
        places = list(range(len(rows)))  # which box is which afterwards
        fields: dict[str, list[int]] = {name: sample.labels.tolist() for name in self.label_fields}
        if self.label_fields:
            fields[self.label_fields[0]] = places
        else:
            rows = np.column_stack([rows, places])
        done = self.pipeline(image=sample.image.copy(), bboxes=rows, **fields)
        image = _checked_image(done["image"])
        table = np.asarray(done["bboxes"], np.float64).reshape(-1, rows.shape[1])
        which = done[self.label_fields[0]] if self.label_fields else table[:, 4]
        kept = np.rint(np.asarray(which, np.float64)).astype(np.int64).reshape(-1)
        new_size = (image.shape[0], image.shape[1])
        boxes = clip_boxes(_decode(table[:, :4], new_size, self.format), new_size)
        whole = large_enough(boxes, 0)
        kept = kept[whole]
        return replace(
            sample,
            image=image,
            boxes=boxes[whole],
            labels=sample.labels[kept],
            crowd=sample.crowd[kept],
        )


def from_albumentations(pipeline: Any) -> Albumentations:
    """Use an albumentations pipeline as a transform.

    Its own randomness is seeded from the `rng` of each call, so that a run can be repeated. Each
    box keeps its label and its crowd flag by its place, whatever the pipeline makes of the labels.

    Args:
        pipeline: an `albumentations.Compose` with `bbox_params`. It must leave the image as uint8
            in (H, W, 3), so without `Normalize` and `ToTensorV2`: ours come after.

    Raises:
        InvalidValue: it has no `bbox_params`, a format of boxes that we do not know, or cannot be
            seeded.
    """
    processors = getattr(pipeline, "processors", None)
    processor = processors.get("bboxes") if isinstance(processors, dict) else None
    params = getattr(processor, "params", None)
    if params is None or not callable(pipeline):
        raise InvalidValue("pipeline", type(pipeline).__name__, _NEEDED)
    if not callable(getattr(pipeline, "set_random_seed", None)):
        raise InvalidValue("pipeline", "one without set_random_seed", _NEEDED)
    if params.format not in _FORMATS:
        raise InvalidValue("bbox_params.format", params.format, "one of " + ", ".join(_FORMATS))
    return Albumentations(pipeline, params.format, tuple(params.label_fields or ()))


def _encode(boxes: FloatArray, size: tuple[int, int], form: str) -> NDArray[np.float64]:
    """(M, 4) xyxy in pixels → as a format of albumentations has them."""
    rows = boxes.astype(np.float64)
    if form in ("albumentations", "yolo"):
        rows /= (size[1], size[0], size[1], size[0])
    if form in ("coco", "yolo"):
        rows[:, 2:] -= rows[:, :2]
    if form == "yolo":
        rows[:, :2] += rows[:, 2:] / 2
    return rows


def _decode(rows: NDArray[np.float64], size: tuple[int, int], form: str) -> NDArray[np.float64]:
    """As a format of albumentations has them → (M, 4) xyxy in pixels."""
    boxes = rows.copy()
    if form == "yolo":
        boxes[:, :2] -= boxes[:, 2:] / 2
    if form in ("coco", "yolo"):
        boxes[:, 2:] += boxes[:, :2]
    if form in ("albumentations", "yolo"):
        boxes *= (size[1], size[0], size[1], size[0])
    return boxes


def _checked_image(image: Any) -> NDArray[np.uint8]:
    if (
        not isinstance(image, np.ndarray)
        or image.dtype != np.uint8
        or image.ndim != 3
        or image.shape[2] != 3
    ):
        given = f"{getattr(image, 'dtype', type(image).__name__)} {getattr(image, 'shape', '')}"
        raise InvalidValue(
            "image of the albumentations pipeline",
            given,
            "uint8 (H, W, 3); leave out Normalize and ToTensorV2",
        )
    return np.ascontiguousarray(image)
