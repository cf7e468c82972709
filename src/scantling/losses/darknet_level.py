"""One level of darknet's rule: target assignment, and its terms."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..boxes import cxcywh_to_xyxy
from ..heads.yolo_decoding import BOX_VALUES
from ..specs.level import Level
from .darknet_boxes import overlap_term, similarity, squared_term
from .elements import at_least_float32, best_overlaps, cross_entropy, smooth
from .grid import ObjectShares, Rows, YoloGrid, cell_of

CONFIDENT = 0.25  # of a class: from there on darknet looks whether a prediction overlaps an object


@dataclass(frozen=True, kw_only=True)
class LevelSettings:
    """What of `DarknetSettings` acts in a level, with one value for each."""

    box_loss: str
    box_gain: float
    objectness_gain: float
    class_gain: float
    gain: float
    ignore_threshold: float
    match_threshold: float
    match_similarity: str
    smooth_objectness: bool
    max_delta: float
    label_smoothing: float
    focal: bool


@dataclass(frozen=True, eq=False)
class LevelTerms:
    """Loss terms of one level."""

    box: Tensor  # scalar
    classes: Tensor  # scalar
    objectness: Tensor  # (N, A · H · W)
    positive: Tensor  # (N, A · H · W) bool


@dataclass(frozen=True, eq=False)
class _Cells:
    """Rows that meet in one prediction, because their objects share a cell and an anchor."""

    first: Tensor  # (R,) the first positive row of the prediction; 0 where there is none
    leads: Tensor  # (R,) bool: it is that row
    last: Tensor  # (N · A · H · W,) the last positive row; −1 where there is none


class DarknetLevel(nn.Module):
    """Targets and terms of one level.

    Args:
        level: of the network.
        num_classes: K.
        settings: of this level.
        numbers: of this level's anchors, among all that contend.
        class_weights: K, of each class.
    """

    numbers: Tensor
    class_weights: Tensor

    def __init__(
        self,
        level: Level,
        num_classes: int,
        settings: LevelSettings,
        *,
        numbers: Sequence[int],
        class_weights: Sequence[float],
    ) -> None:
        super().__init__()
        self.grid = YoloGrid(level, num_classes)
        self.settings = settings
        weights = torch.tensor(class_weights, dtype=torch.float32)
        self.register_buffer("numbers", torch.tensor(numbers), persistent=False)
        self.register_buffer("class_weights", weights, persistent=False)

    def forward(
        self, raw: Tensor, objects: ObjectShares, best: Tensor, image_size: tuple[int, int]
    ) -> LevelTerms:
        """The loss terms of the raw predictions of this level.

        Args:
            raw: (N, A · (5 + K), H, W).
            objects: of the batch.
            best: (T,) the number of the anchor that fits each object best.
            image_size: (height, width) of the network's input.
        """
        values = self.grid.split(raw)
        size = (values.shape[-2], values.shape[-1])
        rows = self._assign(objects, best, size, image_size)
        row_values, objectness = self.grid.read(values, rows)
        cells = _group_rows(rows, rows.cell(values.shape[1], *size), objectness.numel())
        labels = objects.labels[rows.truth]
        multi_hot = self._multi_hot(labels, rows, cells)
        box = self._box(row_values[:, :4], objects, rows, image_size, size)
        if self.settings.match_threshold < 1:
            box = box / multi_hot.sum(1).clamp(min=1)[cells.first]
        gain = self.settings.gain
        objectness_terms = gain * self._objectness(
            objectness.flatten(1), values.detach(), objects, labels, cells, image_size
        )
        return LevelTerms(
            gain * torch.where(rows.positive, box, 0).sum(),
            gain * self._classes(row_values[:, BOX_VALUES:], labels, multi_hot, rows, cells),
            objectness_terms,
            (cells.last >= 0).view_as(objectness_terms),
        )

    def _assign(
        self,
        objects: ObjectShares,
        best: Tensor,
        size: tuple[int, int],
        image_size: tuple[int, int],
    ) -> Rows:
        """One row for each object and anchor of the level, by object."""
        own = best[:, None] == self.numbers
        if self.settings.match_threshold < 1:
            shares = self.grid.anchor_shares(image_size)
            overlap = shape_similarity(self.settings.match_similarity, shares, objects)
            own = own | (overlap > self.settings.match_threshold)
        count, anchors = own.shape
        row, column = cell_of(objects, size)
        truth = torch.arange(count, device=own.device).repeat_interleave(anchors)
        return Rows(
            positive=(own & objects.valid[:, None]).flatten(),
            truth=truth,
            image=objects.image[truth],
            anchor=torch.arange(anchors, device=own.device).repeat(count),
            row=row[truth],
            column=column[truth],
        )

    def _multi_hot(self, labels: Tensor, rows: Rows, cells: _Cells) -> Tensor:
        """(R, K): in a prediction's first row, 1 for every class of its objects."""
        multi_hot = self.class_weights.new_zeros(len(labels), len(self.class_weights))
        positive = rows.positive.to(multi_hot.dtype)
        return multi_hot.index_put_((cells.first, labels), positive, accumulate=True).clamp(max=1)

    def _box(
        self,
        values: Tensor,
        objects: ObjectShares,
        rows: Rows,
        image_size: tuple[int, int],
        size: tuple[int, int],
    ) -> Tensor:
        """(R,) the box term of each row, positive or not."""
        settings = self.settings
        weight = settings.box_gain * self.class_weights[objects.labels[rows.truth]]
        weight = weight * rows.positive
        target_boxes = objects.boxes[rows.truth]
        if settings.box_loss == "mse":
            return squared_term(
                self.grid, values, target_boxes, rows, image_size, size, weight=weight
            )
        return overlap_term(
            self.grid,
            values,
            target_boxes,
            rows,
            image_size,
            size,
            kind=settings.box_loss,
            weight=weight,
            max_delta=settings.max_delta,
        )

    def _classes(
        self, raw: Tensor, labels: Tensor, multi_hot: Tensor, rows: Rows, cells: _Cells
    ) -> Tensor:
        """The class term: every prediction that has an object counts once, in its first row."""
        settings = self.settings
        weight = 1 + (self.class_weights - 1) * multi_hot
        if settings.focal:
            with torch.no_grad():
                factor = self._focal(raw, labels)
                assigned_later = (rows.positive & ~cells.leads).to(multi_hot.dtype)
                later = torch.zeros_like(multi_hot).index_put_(
                    (cells.first, labels), assigned_later, accumulate=True
                )
                weight = torch.where(later > 0, weight, weight * factor)
        losses = self._error(raw, smooth(multi_hot, settings.label_smoothing))
        losses = torch.where(cells.leads[:, None], losses * weight, 0)
        return settings.class_gain * losses.sum()

    def _focal(self, raw: Tensor, labels: Tensor) -> Tensor:
        """(R, 1) darknet's focal factor, from the probability of the object's own class."""
        probability = self.grid.sigma(raw).gather(1, labels[:, None]).clamp(min=1e-15)
        slope = 1 - probability - 2 * probability * probability.log()
        return 0.5 * (1 - probability) * slope

    def _objectness(
        self,
        raw: Tensor,
        values: Tensor,
        objects: ObjectShares,
        labels: Tensor,
        cells: _Cells,
        image_size: tuple[int, int],
    ) -> Tensor:
        """(N, A · H · W) the objectness of every prediction."""
        settings = self.settings
        with torch.no_grad():
            boxes = self.grid.place_all(values, self.grid.anchor_shares(image_size))
            boxes_of_objects = cxcywh_to_xyxy(torch.where(objects.valid[:, None], objects.boxes, 0))
            overlap = best_overlaps(boxes, boxes_of_objects, objects.image)
            likely = at_least_float32(values[:, :, BOX_VALUES:].amax(2))
            confident = self.grid.sigma(likely).flatten(1) > CONFIDENT
            near = confident & (overlap > settings.ignore_threshold)
            last = cells.last.view_as(raw)
            positive = last >= 0
            weight = torch.ones_like(raw)
            if settings.smooth_objectness:
                target = torch.where(near, overlap, positive.to(raw.dtype))
                positive = positive & ~near
            else:
                target = positive.to(raw.dtype)
                weight = torch.where(near & ~positive, 0, weight)
            if len(labels):
                own = self.class_weights[labels[last.clamp(min=0)]]
                weight = torch.where(positive, own.to(weight.dtype), weight)
        return settings.objectness_gain * weight * self._error(raw, target)

    def _error(self, raw: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy of logits or, after a logistic convolution, half the squared error."""
        if self.grid.exponential:
            return cross_entropy(raw, target)
        return (target - self.grid.sigma(raw)).square() / 2


def shape_similarity(kind: str, anchors: Tensor, objects: ObjectShares) -> Tensor:
    """Similarity of the shapes of objects and anchors, laid centre on centre.

    Args:
        kind: `iou`, `giou`, `diou` or `ciou`.
        anchors: (A, 2) width and height in shares of the image.
        objects: T of them.

    Returns:
        (T, A); −1 for an object without area.
    """
    centred = torch.cat([torch.zeros_like(anchors), anchors], dim=1)
    shapes = torch.cat([torch.zeros_like(objects.boxes[:, :2]), objects.boxes[:, 2:]], dim=1)
    overlap = similarity(kind, centred[None], shapes[:, None])
    return torch.where(objects.valid[:, None], overlap, -1)


def _group_rows(rows: Rows, place: Tensor, predictions: int) -> _Cells:
    """Find rows that are of the same prediction.

    Args:
        rows: by object.
        place: (R,) of each row's prediction.
        predictions: N · A · H · W.
    """
    number = torch.arange(len(place), device=place.device)
    none = max(1, len(place))
    first = place.new_full((predictions,), none)
    first.scatter_reduce_(0, place, torch.where(rows.positive, number, none), "amin")
    last = place.new_full((predictions,), -1)
    last.scatter_reduce_(0, place, torch.where(rows.positive, number, -1), "amax")
    mine = first[place]
    return _Cells(torch.where(mine < none, mine, 0), rows.positive & (mine == number), last)
