"""Decoding inside an exported graph: what the decoders of the heads have in common."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .base import Head

Decoded = tuple[Tensor, Tensor]  # (N, P, 4) boxes, (N, P, K) scores


class PlainDecoder(nn.Module):
    """A head's own decoding, for heads that have none that is faster in a graph.

    Args:
        head: whose `decode` is called.
        image_size: (height, width) of the input; None to take it from the finest level, whose cells
            then are as large as its stride says.
    """

    def __init__(self, head: Head, image_size: tuple[int, int] | None) -> None:
        super().__init__()
        self._decode, self._stride = head.decode, head.levels[0].stride
        self._image_size = image_size

    def forward(self, raw: Sequence[Tensor]) -> Decoded:
        rows, columns = raw[0].shape[-2:]
        size = self._image_size or (rows * self._stride, columns * self._stride)
        found = self._decode(raw, size)
        return found.boxes, found.scores


def corners_last(rows: int, columns: int) -> Tensor:
    """(rows, columns, 2) x and y of the upper left corner of each cell, in cells."""
    x, y = torch.arange(columns).float(), torch.arange(rows).float()
    return torch.stack([x[None].expand(rows, columns), y[:, None].expand(rows, columns)], dim=-1)
