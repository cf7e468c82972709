"""The values that travel: how an image was placed, what the network says, what was found.

Nothing here imports torch at run time, so that a board without it can hold every result.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET  # only ever written here, never read

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidValue, MissingPackage, lookup

if TYPE_CHECKING:
    import supervision
    from torch import Tensor

Image = NDArray[np.uint8]  # (H, W, 3) RGB
FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
LARGEST = np.finfo(np.float32).max
Numbers = Any  # a torch tensor, or, from an engine without torch, a numpy array


def as_size(size: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width); a single side stands for a square."""
    return (size, size) if isinstance(size, int) else size


@dataclass(frozen=True)
class Placement:
    """How an image, or a part of it, was put onto the network's input; takes boxes back.

    A pixel (x, y) of the original lies at (x · scale_x + left, y · scale_y + top) on the input. A
    negative scale mirrors. Where only a part of the image is on the input, left and top tell where
    the corner of the whole image would be: outside, and not on a whole pixel.
    """

    scale_x: float
    scale_y: float
    left: float
    top: float
    image_size: tuple[int, int]  # (height, width) of the original

    def apply(self, boxes: FloatArray) -> FloatArray:
        """(M, 4) xyxy in original pixels → in pixels of the network's input."""
        return self._in_order(boxes * self._scale() + self._offset())

    def undo(self, boxes: FloatArray, *, clip: bool = True) -> FloatArray:
        """(M, 4) xyxy in pixels of the network's input → in original pixels.

        Args:
            boxes: (M, 4) xyxy.
            clip: cut boxes off at the edge of the original image.
        """
        with np.errstate(over="ignore"):  # an untrained network's boxes may be that large
            placed = self._in_order((boxes - self._offset()) / self._scale())
        if clip:
            height, width = self.image_size
            return np.clip(placed, 0, np.array([width, height, width, height], np.float32))
        return np.clip(placed, -LARGEST, LARGEST)

    def _in_order(self, boxes: FloatArray) -> FloatArray:
        """Left before right and top before bottom again, where the image was mirrored."""
        columns = [2, 1, 0, 3] if self.scale_x < 0 else [0, 1, 2, 3]
        if self.scale_y < 0:
            columns[1], columns[3] = columns[3], columns[1]
        return boxes if columns == [0, 1, 2, 3] else boxes[..., columns]

    def _scale(self) -> FloatArray:
        return np.array([self.scale_x, self.scale_y, self.scale_x, self.scale_y], np.float32)

    def _offset(self) -> FloatArray:
        return np.array([self.left, self.top, self.left, self.top], np.float32)


@dataclass(frozen=True)
class Candidates:
    """What the network says, decoded but not yet selected: P boxes an image, K scores a box."""

    boxes: Numbers  # (N, P, 4) xyxy in pixels of the network's input
    scores: Numbers  # (N, P, K), 0 to 1


@dataclass(frozen=True, eq=False)
class Sample:
    """One labelled image on its way into a training batch."""

    image: Image  # (H, W, 3) uint8 RGB
    boxes: FloatArray  # (M, 4) xyxy in pixels of `image`
    labels: IntArray  # (M,)
    crowd: NDArray[np.bool_]  # (M,) whether a box stands for many objects
    image_id: int | str


@dataclass(frozen=True, eq=False)
class Targets:
    """All objects of a batch, T of them, ordered by image: (T, 4) float32 boxes, xyxy in pixels of
    the network's input, and (T,) int64 labels and places of their images in the batch, from 0.
    """

    boxes: Tensor
    labels: Tensor
    image_index: Tensor


@dataclass(frozen=True, eq=False)
class Batch:
    """What a training step takes: (N, 3, H, W) uint8 RGB images, their objects, their ids."""

    images: Tensor
    targets: Targets
    image_ids: tuple[int | str, ...]


@dataclass(frozen=True, eq=False)
class LossTerms:
    """Parts of a loss, scalars, weighted, `objectness` 0 for EfficientDet; `total` is their sum."""

    box: Tensor
    objectness: Tensor
    classes: Tensor
    total: Tensor


@dataclass(frozen=True)
class Detection:
    """One object that was found."""

    box: tuple[float, float, float, float]  # xyxy in pixels of the original image
    score: float
    label: int
    name: str


@dataclass(frozen=True, eq=False)
class Detections:
    """The objects found in one image, best first, on plain numpy arrays.

    `len(found)` counts them, `for one in found` gives each as a `Detection`, and
    `found[found.scores > 0.5]` keeps some; a slice or an array of positions does as well.

    Args:
        boxes: (M, 4) float32 xyxy in pixels of the original image.
        scores: (M,) float32.
        labels: (M,) int64, places in `names`.
        names: the class names of the model.
        image_size: (height, width) of the original image.
        source: where the image came from; may be empty.

    Raises:
        InvalidValue: an array has another shape or kind, a label has no name, or a number is not
            finite.
    """

    boxes: FloatArray
    scores: FloatArray
    labels: IntArray
    names: tuple[str, ...]
    image_size: tuple[int, int]
    source: str = ""

    def __post_init__(self) -> None:
        count = len(self.scores)
        for what, array, shape, dtype in (
            ("boxes", self.boxes, (count, 4), np.float32),
            ("scores", self.scores, (count,), np.float32),
            ("labels", self.labels, (count,), np.int64),
        ):
            if array.shape != shape or array.dtype != dtype:
                given = f"{array.dtype}{list(array.shape)}"
                raise InvalidValue(what, given, f"{np.dtype(dtype)}{list(shape)}")
            if not np.isfinite(array).all():
                raise InvalidValue(what, array[~np.isfinite(array)][0], "finite numbers")
        if count and not 0 <= self.labels.min() <= self.labels.max() < len(self.names):
            wrong = self.labels[(self.labels < 0) | (self.labels >= len(self.names))][0]
            raise InvalidValue("labels", int(wrong), f"places in {len(self.names)} names")

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[Detection]:
        for (left, top, right, bottom), score, label in zip(
            self.boxes.tolist(), self.scores.tolist(), self.labels.tolist(), strict=True
        ):
            yield Detection((left, top, right, bottom), score, label, self.names[label])

    def __getitem__(self, which: slice | NDArray[np.bool_] | IntArray | list[int]) -> Detections:
        return Detections(
            self.boxes[which],
            self.scores[which],
            self.labels[which],
            self.names,
            self.image_size,
            self.source,
        )

    @property
    def class_names(self) -> list[str]:
        """The name of each object's class."""
        return [self.names[label] for label in self.labels.tolist()]

    def to_supervision(self) -> supervision.Detections:
        """The same as `supervision.Detections`, class names in `data["class_name"]`.

        Raises:
            MissingPackage: supervision is not installed.
        """
        try:
            import supervision
        except ModuleNotFoundError as error:
            raise MissingPackage("supervision", "to_supervision") from error
        return supervision.Detections(
            xyxy=self.boxes.copy(),
            confidence=self.scores.copy(),
            class_id=self.labels.copy(),
            data={"class_name": np.array(self.class_names, dtype=str)},
        )

    def as_results(self) -> SimpleNamespace:
        """The same, laid out as what `ultralytics` models return, for tools made to take that.

        It has `.boxes.xyxy .boxes.conf .boxes.cls .boxes.id .names .orig_shape`, all numpy, so
        `supervision.Detections.from_ultralytics(found.as_results())` works.
        """
        boxes = SimpleNamespace(xyxy=self.boxes, conf=self.scores, cls=self.labels, id=None)
        return SimpleNamespace(
            boxes=boxes,
            masks=None,
            obb=None,
            names=dict(enumerate(self.names)),
            orig_shape=self.image_size,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, ready for JSON.

        Keys: source, image_size (height, width), detections (label, name, score, box as xyxy).
        """
        return {
            "source": self.source,
            "image_size": list(self.image_size),
            "detections": [
                {
                    "label": label,
                    "name": self.names[label],
                    "score": _short(score),
                    "box": [_short(value) for value in box],
                }
                for label, score, box in zip(
                    self.labels.tolist(), self.scores, self.boxes, strict=True
                )
            ],
        }

    def to_coco(
        self, image_id: int, *, category_ids: Mapping[str, int] | None = None
    ) -> list[dict[str, Any]]:
        """COCO's result format: one dict an object, its box as left, top, width, height.

        Args:
            image_id: the image's id in the annotation file.
            category_ids: class name → category id, as the annotation file has them; COCO's own
                have gaps, so they are matched by name. Left out, a category is its label.

        Raises:
            UnknownName: `category_ids` lacks the name of a class that was found.
        """
        boxes = self.boxes.astype(np.float64)
        boxes[:, 2:] -= boxes[:, :2]
        ids = [
            label if category_ids is None else lookup(category_ids, self.names[label], "category")
            for label in self.labels.tolist()
        ]
        return [
            {"image_id": image_id, "category_id": id_, "bbox": box, "score": _short(score)}
            for id_, box, score in zip(ids, boxes.tolist(), self.scores, strict=True)
        ]

    def to_yolo(self, *, with_scores: bool = False) -> str:
        """A YOLO label file: `label centre-x centre-y width height`, shares of the image.

        Boxes are cut off at the edge of the image; one without area in it gets no line.

        Args:
            with_scores: end each line with the score; what trains on labels may not read that.
        """
        inside = self._inside()
        height, width = self.image_size
        shares = inside / np.array([width, height, width, height], np.float64)
        rows = np.column_stack(
            [(shares[:, :2] + shares[:, 2:]) / 2, shares[:, 2:] - shares[:, :2], self.scores]
        )
        kept = (inside[:, 2:] > inside[:, :2]).all(axis=1)
        columns = 5 if with_scores else 4
        return "".join(
            " ".join([str(label), *(f"{value:.6f}" for value in row[:columns])]) + "\n"
            for label, row in zip(self.labels[kept].tolist(), rows[kept].tolist(), strict=True)
        )

    def to_voc(self, filename: str) -> str:
        """A PASCAL VOC annotation, as XML. VOC has no place for scores.

        VOC counts pixels from 1 and includes the last one: a box over the whole of a 500 wide image
        has xmin 1 and xmax 500. Boxes are rounded to whole pixels and cut off at the edge of the
        image; one without a pixel in it is left out.

        Args:
            filename: of the image, as the annotation should give it.
        """
        root = ET.Element("annotation")
        _add(root, filename=filename)
        height, width = self.image_size
        _add(ET.SubElement(root, "size"), width=width, height=height, depth=3)
        corners = np.rint(self._inside()).astype(np.int64).tolist()
        for name, (left, top, right, bottom) in zip(self.class_names, corners, strict=True):
            if left < right and top < bottom:
                item = ET.SubElement(root, "object")
                _add(item, name=name, pose="Unspecified", truncated=0, difficult=0)
                box = ET.SubElement(item, "bndbox")
                _add(box, xmin=left + 1, ymin=top + 1, xmax=right, ymax=bottom)
        ET.indent(root)
        return ET.tostring(root, encoding="unicode") + "\n"

    def _inside(self) -> FloatArray:
        """The boxes, cut off at the edge of the image."""
        height, width = self.image_size
        return np.clip(self.boxes, 0, np.array([width, height, width, height], np.float32))


def _short(value: np.float32) -> float:
    """The number with the fewest digits that is still the same float32: 0.87, not 0.8700000047."""
    return float(str(value))


# What XML 1.0 cannot hold, even escaped.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _add(parent: ET.Element, **texts: object) -> None:
    """Put one element a text into `parent`."""
    for tag, text in texts.items():
        ET.SubElement(parent, tag).text = _NOT_XML.sub("\ufffd", str(text))
