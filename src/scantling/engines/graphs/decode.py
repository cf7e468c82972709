"""Decoding inside a graph: what is known before any image is seen stands there as constants."""

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor, nn

from ...specs.level import Level

Decoded = tuple[Tensor, Tensor]  # (N, P, 4) boxes, (N, P, K) scores


class CellDecoder(nn.Module):
    """Raw predictions of cells and anchors (a YOLO head) → boxes and scores, all levels at once.

    Equal to `scantling.heads.yolo.decode_level` level by level, in a few operations on long lists
    instead of many on each map.

    Args:
        levels: finest first.
        image_size: (height, width) of the input, whose cells then are constants; None to make them
            anew from the size of what comes in.
    """

    def __init__(self, levels: Sequence[Level], image_size: tuple[int, int] | None) -> None:
        super().__init__()
        alike = groupby(
            levels, key=lambda level: (level.box_coding, level.activated, level.class_activation)
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

    places: Tensor
    reach: Tensor
    anchors: Tensor

    def __init__(self, levels: Sequence[Level], image_size: tuple[int, int] | None) -> None:
        super().__init__()
        self.levels = tuple(levels)
        self.level = levels[0]
        self.fixed = image_size is not None
        if image_size is not None:
            height, width = image_size
            cells = [(height // level.stride, width // level.stride) for level in levels]
            for name, value in zip(("places", "reach", "anchors"), self._rows(cells), strict=True):
                self.register_buffer(name, value, persistent=False)

    def forward(self, raw: Sequence[Tensor]) -> Decoded:
        if self.fixed:
            places, reach, anchors = self.places, self.reach, self.anchors
        else:
            places, reach, anchors = self._rows([(x.shape[-2], x.shape[-1]) for x in raw])
        lists = [
            _one_row_a_box(x.float(), len(level.anchors))
            for x, level in zip(raw, self.levels, strict=True)
        ]
        values = torch.cat(lists, 1) if len(lists) > 1 else lists[0]
        box, classes = values[..., :4], values[..., 5:]
        sure = values[..., 4:5]
        if not self.level.activated:
            sure = sure.sigmoid()
        centre = (box[..., :2] if self.level.activated else box[..., :2].sigmoid()) * reach + places
        half = self._halves(box[..., 2:], anchors)
        boxes = torch.cat([centre - half, centre + half], -1)
        return boxes, self._classes(classes) * sure

    def _halves(self, size: Tensor, anchors: Tensor) -> Tensor:
        """Half of width and height, from what is said of them and half of each anchor."""
        if self.level.box_coding == "exponential":
            return size.exp() * anchors
        size = size if self.level.activated else size.sigmoid()
        return size * size * (4 * anchors)

    def _classes(self, classes: Tensor) -> Tensor:
        if self.level.class_activation == "softmax":
            return classes.softmax(-1)
        return classes if self.level.activated else classes.sigmoid()

    def _rows(self, cells: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor, Tensor]:
        """A row a box: place of its cell's corner, reach of its centre, half of its anchor."""
        rows = [
            _rows_of(level, height, width)
            for level, (height, width) in zip(self.levels, cells, strict=True)
        ]
        places, reach, anchors = zip(*rows, strict=True)
        return torch.cat(places), torch.cat(reach), torch.cat(anchors)


class OffsetDecoder(nn.Module):
    """Class logits and offsets to anchors (an EfficientDet head) → boxes and scores.

    Equal to `scantling.heads.efficientdet.EfficientDetHead.decode`, for offsets in the order x, y,
    width, height.

    Args:
        levels: finest first.
        num_classes: K.
        image_size: (height, width) of the input; None to make the anchors anew from the size of
            what comes in, where cells are as large as the strides say.
        cells: (rows, columns) of each level at that size.
    """

    centres: Tensor
    sizes: Tensor

    def __init__(
        self,
        levels: Sequence[Level],
        num_classes: int,
        image_size: tuple[int, int] | None,
        cells: Sequence[tuple[int, int]],
    ) -> None:
        super().__init__()
        self.levels = tuple(levels)
        self.num_classes = num_classes
        self.fixed = image_size is not None
        if image_size is not None:
            centres, sizes = self._anchors(cells, image_size)
            self.register_buffer("centres", centres, persistent=False)
            self.register_buffer("sizes", sizes, persistent=False)

    def forward(self, raw: Sequence[Tensor]) -> Decoded:
        count = len(self.levels)
        logits = torch.cat([_one_row_an_anchor(x, self.num_classes) for x in raw[:count]], 1)
        offsets = torch.cat([_one_row_an_anchor(x, 4) for x in raw[count:]], 1).float()
        if self.fixed:
            centres, sizes = self.centres, self.sizes
        else:
            cells = [(x.shape[-2], x.shape[-1]) for x in raw[count:]]
            finest = self.levels[0].stride
            centres, sizes = self._anchors(cells, (cells[0][0] * finest, cells[0][1] * finest))
        centre = offsets[..., :2] * sizes + centres
        half = offsets[..., 2:].exp() * (sizes / 2)
        return torch.cat([centre - half, centre + half], -1), logits.float().sigmoid()

    def _anchors(
        self, cells: Sequence[tuple[int, int]], image_size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """(P, 2) centres and (P, 2) sizes, x first, of all anchors."""
        centres, sizes = [], []
        for level, (rows, columns) in zip(self.levels, cells, strict=True):
            step = torch.ones(2) * level.stride
            if self.fixed:  # a stride that does not divide the image makes smaller cells
                step = torch.tensor([image_size[1] / columns, image_size[0] / rows])
            middle = (_corners(rows, columns) + 0.5) * step
            shape = (rows, columns, len(level.anchors), 2)
            own = torch.tensor(level.anchors) * (step / level.stride)
            centres.append(middle[:, :, None].expand(shape).reshape(-1, 2))
            sizes.append(own.expand(shape).reshape(-1, 2))
        return torch.cat(centres), torch.cat(sizes)


def _rows_of(level: Level, rows: int, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """For each anchor, row and column of a level: place, reach and half anchor; all (P, 2)."""
    shape = (len(level.anchors), rows, columns, 2)
    places = (_corners(rows, columns) - (level.scale_xy - 1) / 2) * level.stride
    anchors = torch.tensor(level.anchors) / 2
    reach = torch.ones(2) * (level.scale_xy * level.stride)
    return (
        places.expand(shape).reshape(-1, 2),
        reach.expand(shape).reshape(-1, 2),
        anchors[:, None, None].expand(shape).reshape(-1, 2),
    )


def _corners(rows: int, columns: int) -> Tensor:
    """(rows, columns, 2) x and y of the upper left corner of each cell, in cells."""
    x, y = torch.arange(columns).float(), torch.arange(rows).float()
    return torch.stack([x[None].expand(rows, columns), y[:, None].expand(rows, columns)], dim=-1)


def _one_row_a_box(values: Tensor, anchors: int) -> Tensor:
    """(N, A · V, H, W) → (N, A · H · W, V)."""
    images, channels, rows, columns = values.shape
    last = values.permute(0, 2, 3, 1).reshape(images, rows * columns, anchors, channels // anchors)
    return last.transpose(1, 2).reshape(images, anchors * rows * columns, channels // anchors)


def _one_row_an_anchor(level: Tensor, values: int) -> Tensor:
    """(N, A · values, H, W) → (N, H · W · A, values), by row, then column, then anchor."""
    images, channels, rows, columns = level.shape
    return level.permute(0, 2, 3, 1).reshape(images, rows * columns * (channels // values), values)
