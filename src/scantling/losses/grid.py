"""Objects matched with YOLO predictions, as rows: read, decoded and encoded.

Every level has a fixed number of rows, objects × anchors (× cells), of which some count and some
weigh nothing: shapes never depend on the data, so that no step waits for the device.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ..boxes import cxcywh_to_xyxy, xyxy_to_cxcywh
from ..errors import InvalidValue
from ..heads.yolo_decoding import BOX_VALUES, OBJECTNESS, activate, centre_in_cell, size_over_anchor
from ..specs.level import Level
from ..structures import Targets
from .elements import at_least_float32


@dataclass(frozen=True, eq=False)
class ObjectShares:
    """The objects of a batch in shares of the image, as every level reads them."""

    boxes: Tensor  # (T, 4) centre x, centre y, width, height; 0 to 1
    labels: Tensor  # (T,)
    image: Tensor  # (T,) places in the batch
    valid: Tensor  # (T,) bool: it has area; the box of one without is replaced, and never used

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Rows:
    """Where objects meet predictions, R of them."""

    positive: Tensor  # (R,) bool: whether the row counts
    truth: Tensor  # (R,) places among the objects
    image: Tensor  # (R,)
    anchor: Tensor  # (R,)
    row: Tensor  # (R,) of the cell
    column: Tensor  # (R,)

    def cell(self, anchors: int, rows: int, columns: int) -> Tensor:
        """(R,) places among the N · A · H · W predictions of the level."""
        return ((self.image * anchors + self.anchor) * rows + self.row) * columns + self.column


def read_objects(
    targets: Targets, image_size: tuple[int, int], device: torch.device
) -> ObjectShares:
    """Targets on the device of the predictions, in shares of the image.

    Args:
        targets: in pixels of the network's input.
        image_size: (height, width) of the network's input.
        device: of the predictions.
    """
    height, width = image_size
    boxes = at_least_float32(targets.boxes.to(device, non_blocking=True))
    valid = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    shares = torch.stack(
        [boxes[:, 0] / width, boxes[:, 1] / height, boxes[:, 2] / width, boxes[:, 3] / height], 1
    )
    return ObjectShares(
        torch.where(valid[:, None], xyxy_to_cxcywh(shares), 0.5),
        targets.labels.to(device, non_blocking=True),
        targets.image_index.to(device, non_blocking=True),
        valid,
    )


class YoloGrid(nn.Module):
    """One level of YOLO predictions: how they are read, activated and placed."""

    anchors: Tensor

    def __init__(self, level: Level, num_classes: int) -> None:
        super().__init__()
        self.level = level
        self.values = BOX_VALUES + num_classes
        self.register_buffer("anchors", torch.tensor(level.anchors).float(), persistent=False)

    @property
    def exponential(self) -> bool:
        """Whether sizes are exp(t); raw values are logits then, which the loss itself activates."""
        return self.level.box_coding == "exponential"

    def split(self, raw: Tensor) -> Tensor:
        """(N, A · (5 + K), H, W) → (N, A, 5 + K, H, W), a view.

        Raises:
            InvalidValue: the channels are not A · (5 + K).
        """
        images, channels, rows, columns = raw.shape
        count = len(self.level.anchors)
        if channels != count * self.values:
            classes = self.values - BOX_VALUES
            expected = f"{count * self.values}: {count} anchors × (5 + {classes} classes)"
            raise InvalidValue("channels of a level", channels, expected)
        return raw.view(images, count, self.values, rows, columns)

    def sigma(self, values: Tensor) -> Tensor:
        """The logistic function, where the level has one."""
        return activate(values, self.level)

    def anchor_shares(self, image_size: tuple[int, int]) -> Tensor:
        """(A, 2) width and height in shares of the image."""
        height, width = image_size
        return torch.stack([self.anchors[:, 0] / width, self.anchors[:, 1] / height], dim=1)

    def read(self, values: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """Gather the predictions of rows, and the objectness of all; gradients flow to these alone.

        Args:
            values: (N, A, 5 + K, H, W) of `split`.
            rows: which predictions to read in full.

        Returns:
            (R, 5 + K) those predictions; (N, A, H, W) the objectness of all; at least float32.
        """
        found: tuple[Tensor, Tensor] = _Read.apply(
            values, rows.image, rows.anchor, rows.row, rows.column
        )
        return found

    def place(self, values: Tensor, rows: Rows, shares: Tensor, size: tuple[int, int]) -> Tensor:
        """The boxes of some predictions.

        Args:
            values: (R, 4) raw.
            rows: where they stand.
            shares: (A, 2) of `anchor_shares`.
            size: (H, W) of the level.

        Returns:
            (R, 4) centre x, centre y, width, height in shares of the image.
        """
        x = (rows.column + centre_in_cell(values[:, 0], self.level)) / size[1]
        y = (rows.row + centre_in_cell(values[:, 1], self.level)) / size[0]
        sizes = size_over_anchor(values[:, 2:4], self.level) * shares[rows.anchor]
        return torch.cat([x[:, None], y[:, None], sizes], dim=1)

    @torch.no_grad()
    def place_all(self, values: Tensor, shares: Tensor) -> Tensor:
        """The boxes of every prediction.

        Args:
            values: (N, A, 5 + K, H, W).
            shares: (A, 2) of `anchor_shares`.

        Returns:
            (N, A · H · W, 4) xyxy in shares of the image.
        """
        rows, columns = values.shape[-2:]
        row = torch.arange(rows, device=values.device)[:, None]
        column = torch.arange(columns, device=values.device)
        raw = at_least_float32(values[:, :, :4])
        x = (column + centre_in_cell(raw[:, :, 0], self.level)) / columns
        y = (row + centre_in_cell(raw[:, :, 1], self.level)) / rows
        sizes = size_over_anchor(raw[:, :, 2:4], self.level) * shares[:, :, None, None]
        boxes = torch.stack([x, y, sizes[:, :, 0], sizes[:, :, 1]], dim=-1)
        return cxcywh_to_xyxy(boxes).flatten(1, 3)

    def encode(self, objects: Tensor, rows: Rows, shares: Tensor, size: tuple[int, int]) -> Tensor:
        """The targets of activated values, for the squared error: the inverse of `place`.

        Args:
            objects: (R, 4) centre x, centre y, width, height of each row's object.
            rows, shares, size: as in `place`.

        Returns:
            (R, 4): x and y in the cell, then log size over the anchor, or, where sizes are (2σ)²,
            the σ that gives it.
        """
        x = objects[:, 0] * size[1] - rows.column
        y = objects[:, 1] * size[0] - rows.row
        ratio = objects[:, 2:] / shares[rows.anchor]
        sizes = ratio.log() if self.exponential else ratio.sqrt() / 2
        return torch.cat([x[:, None], y[:, None], sizes], dim=1)

    def activate(self, values: Tensor) -> Tensor:
        """(R, 4) raw → what `encode` is compared with."""
        sizes = values[:, 2:4] if self.exponential else self.sigma(values[:, 2:4])
        return torch.cat([centre_in_cell(values[:, :2], self.level), sizes], dim=1)


class _Read(torch.autograd.Function):
    """Some predictions and every objectness, whose gradients are written into one tensor.

    Autograd on its own would make one of the size of the predictions for each, and add them up.
    """

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, image: Tensor, anchor: Tensor, row: Tensor, column: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(image, anchor, row, column)
        ctx.shape, ctx.stride, ctx.dtype = values.shape, values.stride(), values.dtype
        some = at_least_float32(values[image, anchor, :, row, column])
        return some, at_least_float32(values[:, :, OBJECTNESS].clone())

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, some: Tensor, objectness: Tensor
    ) -> tuple[Tensor, None, None, None, None]:
        gradient = torch.empty_strided(
            ctx.shape, ctx.stride, dtype=ctx.dtype, device=some.device
        ).zero_()
        gradient.permute(0, 1, 3, 4, 2).index_put_(
            ctx.saved_tensors, some.to(ctx.dtype), accumulate=True
        )
        gradient[:, :, OBJECTNESS] += objectness
        return gradient, None, None, None, None


def cell_of(objects: ObjectShares, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Row and column, (T,) each, of the cell that an object's centre is in; the nearest if none."""
    rows, columns = size
    column = (objects.boxes[:, 0] * columns).floor().long().clamp(0, columns - 1)
    row = (objects.boxes[:, 1] * rows).floor().long().clamp(0, rows - 1)
    return row, column
