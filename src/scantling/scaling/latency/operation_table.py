"""Table of a network's operations, the latency model's input. No torch here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ..costs import LayerCost

# Convolutions first; "vector" is one on a map of a single cell, "stem" one that sees the image.
CONVOLUTIONS = (
    *("point", "square", "window", "stem", "vector"),
    *("depthwise", "grouped", "product"),
)
KINDS = (
    *CONVOLUTIONS,
    *("mish", "leaky_relu", "silu", "relu", "sigmoid", "activation", "late", "small"),
    *("add", "sum", "weigh", "scale", "concat", "resize", "pool", "mean", "pad", "slice"),
    *("copy", "norm", "other", "input", "image", "cells", "offsets"),
)
PLACE = {kind: place for place, kind in enumerate(KINDS)}
COLUMNS = (
    *("kind", "count", "images", "entering", "leaving", "rows_in", "columns_in"),
    *("rows", "columns", "kernel", "stride", "groups", "reads"),
)
COLUMN = {name: place for place, name in enumerate(COLUMNS)}
_AREA = ("rows_in", "columns_in", "rows", "columns")

OperationRow = tuple[int, ...]


@dataclass(frozen=True)
class OperationTable:
    """Operations of a network, one row for each distinct one.

    Args:
        values: (operations, len(COLUMNS)) whole numbers.
    """

    values: NDArray[np.int64]

    def __getitem__(self, column: str) -> NDArray[np.int64]:
        column_values: NDArray[np.int64] = self.values[:, COLUMN[column]]
        return column_values

    @property
    def macs(self) -> NDArray[np.float64]:
        """Multiply-accumulates of one call; for a pool, the values in its windows."""
        taps = self["kernel"].astype(np.float64) ** 2
        each = taps * self["leaving"] * self["images"] * self["rows"] * self["columns"]
        pools = self["kind"] == PLACE["pool"]
        convolves = self["kind"] < len(CONVOLUTIONS)
        found: NDArray[np.float64] = np.where(
            convolves, each * self["entering"] / self["groups"], np.where(pools, each, 0.0)
        )
        return found

    @property
    def moved(self) -> NDArray[np.float64]:
        """Feature-map values read and written by one call."""
        read = self["reads"] * self["entering"].astype(np.float64)
        read *= self["rows_in"] * self["columns_in"]
        written = self["leaving"].astype(np.float64) * self["rows"] * self["columns"]
        found: NDArray[np.float64] = (read + written) * self["images"]
        return found

    @property
    def weights(self) -> NDArray[np.float64]:
        """Weight values read by one call."""
        each = self["kernel"].astype(np.float64) ** 2 * self["entering"] * self["leaving"]
        convolves = self["kind"] < len(CONVOLUTIONS)
        found: NDArray[np.float64] = np.where(convolves, each / self["groups"], 0.0)
        return found

    def scaled(self, vertical: float, horizontal: float) -> "OperationTable":
        """Table of the same network at another image size; maps of one row stay so.

        Args:
            vertical, horizontal: new side over old. Exact where every stride divides both sizes,
                which is so from multiples of the coarsest stride to others.
        """
        values = self.values.copy()
        for name in _AREA:
            factor = vertical if name.startswith("rows") else horizontal
            side = values[:, COLUMN[name]]
            grown = np.ceil(side * factor - 1e-6).astype(np.int64)
            values[:, COLUMN[name]] = np.where(side <= 1, side, np.maximum(1, grown))
        return OperationTable(values)

    def as_rows(self) -> tuple[OperationRow, ...]:
        """Rows as plain numbers, for JSON."""
        return tuple(tuple(row) for row in self.values.tolist())


def make_table(rows: Iterable[Sequence[int]]) -> OperationTable:
    """Build a table from rows in the order of `COLUMNS`; equal rows are merged, counts added."""
    counted: dict[OperationRow, int] = {}
    place = COLUMN["count"]
    for row in rows:
        key = (*row[:place], 0, *row[place + 1 :])
        counted[key] = counted.get(key, 0) + row[place]
    merged = [(*key[:place], count, *key[place + 1 :]) for key, count in counted.items()]
    return OperationTable(np.array(merged, np.int64).reshape(len(merged), len(COLUMNS)))


def input_row(kind: str, images: int, channels: int, size: tuple[int, int]) -> OperationRow:
    """Row of the network's input: `image` of uint8 pixels, or `input`, a feature map."""
    return _row(kind, (images, channels, *size), (images, channels, *size))


def decode_row(kind: str, images: int, values: int, size: tuple[int, int]) -> OperationRow:
    """Row of decoding a level, of kind `cells` or `offsets`, with `values` at each cell."""
    return _row(kind, (images, values, *size), (images, values, *size))


def layer_rows(layers: Iterable["LayerCost"], image: Sequence[int]) -> list[OperationRow]:
    """A row for each layer; its kind depends on the neighbouring layers.

    An activation or addition right behind a convolution is usually computed with it, others are
    not, so they are of other kinds. A slice is no layer in torch, but work for other engines: it
    shows as a layer that reads a shape that none has made.

    Args:
        layers: of a network; a norm right behind a convolution is folded into it.
        image: (N, C, H, W) of the input.
    """
    rows: list[OperationRow] = []
    made = {tuple(image)}
    before = ""
    for layer in layers:
        source = max(layer.inputs, key=prod, default=layer.shape)
        kind = _kind(layer, before)
        if kind == "norm" and before in CONVOLUTIONS:
            continue  # folded into it
        if source not in made and len(source) == 4:
            rows.append(_row("slice", source, source))
        made.add(layer.shape)
        reads = sum(map(prod, layer.inputs)) / max(1, prod(source))
        kernel = layer.kernel[0] if layer.kernel else 1
        stride = layer.kernel_stride[0] if layer.kernel_stride else 1
        rows.append(
            _row(
                kind,
                source,
                layer.shape,
                kernel=kernel,
                stride=stride,
                groups=layer.groups,
                reads=max(1, round(reads)),
            )
        )
        before = kind
    return rows


def _kind(layer: "LayerCost", before: str) -> str:
    small = len(layer.shape) < 4 or prod(layer.shape[2:]) == 1
    if layer.is_convolution:
        return _convolution(layer, small=small)
    if layer.kind == "product":
        return "product"
    if layer.kind == "pool":
        return "mean" if small or layer.operation == "mean" else "pool"
    if small:
        return "small"
    convolved = before in CONVOLUTIONS
    if layer.kind == "activation":
        known = layer.operation if layer.operation in PLACE else "activation"
        return known if convolved else "late"
    if layer.kind == "add":
        return "sum" if before in ("weigh", "sum") else "add"
    if layer.kind == "multiply":
        return "weigh" if len(layer.inputs) == 1 else "scale"
    return layer.kind if layer.kind in PLACE else "other"


def _convolution(layer: "LayerCost", *, small: bool) -> str:
    if small:
        return "vector"
    if layer.kind != "convolution":
        return layer.kind
    if layer.inputs[0][1] <= 4:
        return "stem"
    side = max(layer.kernel or (1, 1))
    return {1: "point", 3: "square"}.get(side, "window")


def _row(
    kind: str,
    source: Sequence[int],
    made: Sequence[int],
    *,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    reads: int = 1,
) -> OperationRow:
    first, last = _as_map(source), _as_map(made)
    shape = (last[0], first[1], last[1], first[2], first[3], last[2], last[3])
    return (PLACE[kind], 1, *shape, kernel, stride, groups, reads)


def _as_map(shape: Sequence[int]) -> tuple[int, int, int, int]:
    """Any shape as (N, C, H, W)."""
    if len(shape) == 4:
        return shape[0], shape[1], shape[2], shape[3]
    return (shape[0] if shape else 1), 1, prod(shape[1:]), 1
