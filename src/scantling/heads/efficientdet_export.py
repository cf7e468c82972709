"""EfficientDet decoding inside an exported graph: its anchors stand there as constants."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..specs.level import Level
from .export import Decoded, corners_last


class EfficientDetDecoder(nn.Module):
    """Class logits and offsets to anchors (an EfficientDet head) → boxes and scores.

    Equal to `decode_efficientdet`, for offsets in the order x, y, width, height.

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
            middle = (corners_last(rows, columns) + 0.5) * step
            shape = (rows, columns, len(level.anchors), 2)
            own = torch.tensor(level.anchors) * (step / level.stride)
            centres.append(middle[:, :, None].expand(shape).reshape(-1, 2))
            sizes.append(own.expand(shape).reshape(-1, 2))
        return torch.cat(centres), torch.cat(sizes)


def _one_row_an_anchor(level: Tensor, values: int) -> Tensor:
    """(N, A · values, H, W) → (N, H · W · A, values), by row, then column, then anchor."""
    images, channels, rows, columns = level.shape
    return level.permute(0, 2, 3, 1).reshape(images, rows * columns * (channels // values), values)
