"""YOLO decoding inside an exported graph: what no image changes stands there as constants."""

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor, nn

from ..specs.level import Level
from .export import Decoded, corners_last
from .yolo_decoding import BOX_VALUES, OBJECTNESS, activate, class_scores


class YoloDecoder(nn.Module):
    """Raw predictions of cells and anchors (a YOLO head) → boxes and scores, all levels at once.

    Equal to `decode_yolo`, in a few operations on long lists instead of many on each map.

    Args:
        levels: finest first.
        image_size: (height, width) of the input, whose cells then are constants; None to make them
            anew from the size of what comes in, which has whole cells.
        cells: (rows, columns) of each level at that size.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        image_size: tuple[int, int] | None,
        cells: Sequence[tuple[int, int]],
    ) -> None:
        super().__init__()
        alike = groupby(
            zip(levels, cells, strict=True),
            key=lambda pair: (pair[0].box_coding, pair[0].activated, pair[0].class_activation),
        )
        self.runs = nn.ModuleList(_Run(list(run), image_size) for _, run in alike)

    def forward(self, raw: Sequence[Tensor]) -> Decoded:
        found: list[Decoded] = []
        first = 0
        for run in self.runs:
            last = first + len(run.levels)  # type: ignore[arg-type]
            found.append(run(raw[first:last]))
            first = last
        if len(found) == 1:
            return found[0]
        boxes, scores = zip(*found, strict=True)
        return torch.cat(boxes, 1), torch.cat(scores, 1)


class _Run(nn.Module):
    """Levels that are decoded by the same formula."""

    offset: Tensor
    scale: Tensor
    anchors: Tensor

    def __init__(
        self, levels: Sequence[tuple[Level, tuple[int, int]]], image_size: tuple[int, int] | None
    ) -> None:
        super().__init__()
        self.levels = tuple(level for level, _ in levels)
        self.level = self.levels[0]
        self.fixed = image_size is not None
        if image_size is not None:
            cells = [sides for _, sides in levels]
            rows = self._rows(cells, image_size)
            for name, value in zip(("offset", "scale", "anchors"), rows, strict=True):
                self.register_buffer(name, value, persistent=False)

    def forward(self, raw: Sequence[Tensor]) -> Decoded:
        if self.fixed:
            offset, scale, anchors = self.offset, self.scale, self.anchors
        else:
            offset, scale, anchors = self._rows([(x.shape[-2], x.shape[-1]) for x in raw])
        lists = [
            _one_row_a_box(x.float(), len(level.anchors))
            for x, level in zip(raw, self.levels, strict=True)
        ]
        values = torch.cat(lists, 1) if len(lists) > 1 else lists[0]
        box, classes = values[..., :OBJECTNESS], values[..., BOX_VALUES:]
        objectness = activate(values[..., OBJECTNESS:BOX_VALUES], self.level)
        centre = activate(box[..., :2], self.level) * scale + offset
        half = self._halves(box[..., 2:], anchors)
        boxes = torch.cat([centre - half, centre + half], -1)
        return boxes, class_scores(classes, self.level, axis=-1) * objectness

    def _halves(self, size: Tensor, anchors: Tensor) -> Tensor:
        """Half width and height of each box, from its raw values and half of its anchor."""
        if self.level.box_coding == "exponential":
            return size.exp() * anchors
        size = activate(size, self.level)
        return size * size * (4 * anchors)

    def _rows(
        self, cells: Sequence[tuple[int, int]], image_size: tuple[int, int] | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """A row a box: offset and scale of its centre, half of its anchor."""
        rows = [
            _rows_of(level, height, width, image_size)
            for level, (height, width) in zip(self.levels, cells, strict=True)
        ]
        offset, scale, anchors = zip(*rows, strict=True)
        return torch.cat(offset), torch.cat(scale), torch.cat(anchors)


def _rows_of(
    level: Level, rows: int, columns: int, image_size: tuple[int, int] | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Of a level, by anchor, row and column; (P, 2): offset and scale of x and y, half anchor."""
    shape = (len(level.anchors), rows, columns, 2)
    cell = torch.full((2,), float(level.stride))
    if image_size is not None:  # its cells need not be whole
        cell = torch.tensor([image_size[1] / columns, image_size[0] / rows])
    offset = (corners_last(rows, columns) - (level.scale_xy - 1) / 2) * cell
    anchors = torch.tensor(level.anchors) / 2
    scale = level.scale_xy * cell
    return (
        offset.expand(shape).reshape(-1, 2),
        scale.expand(shape).reshape(-1, 2),
        anchors[:, None, None].expand(shape).reshape(-1, 2),
    )


def _one_row_a_box(values: Tensor, anchors: int) -> Tensor:
    """(N, A · V, H, W) → (N, A · H · W, V)."""
    images, channels, rows, columns = values.shape
    last = values.permute(0, 2, 3, 1).reshape(images, rows * columns, anchors, channels // anchors)
    return last.transpose(1, 2).reshape(images, anchors * rows * columns, channels // anchors)
