"""Darknet's `.weights`: a header, then float32 values, layer by layer, in the order of the cfg."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from os import PathLike
from pathlib import Path
from struct import Struct
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from ..errors import InvalidWeights, unreadable
from ..io import atomic_write, find_foreign, open_regular

_VERSION = Struct("<3i")
_SEEN_SHORT = Struct("<I")  # before version 0.2
_SEEN_LONG = Struct("<Q")
_FLOAT = np.dtype("<f4")
_HEAD = 64  # bytes by which other files are known
_CHUNK = 1 << 20  # values looked at at once
RGB = 3
MAX_CHANNELS = 16  # of an image, in an explanation
_PARTIAL_NAME = re.compile(r"\.conv\.\d+$")


@dataclass(frozen=True)
class WeightsHeader:
    """What stands in front of the values.

    Attributes:
        major: version; darknet writes 0.2.5 (and 0.1.0 long ago).
        minor: version.
        revision: version.
        seen: images seen in training.
    """

    major: int = 0
    minor: int = 2
    revision: int = 5
    seen: int = 0

    @property
    def size(self) -> int:
        """Bytes in the file: 20, or 16 before version 0.2."""
        return _VERSION.size + self._seen_format().size

    def to_bytes(self) -> bytes:
        """As it stands in the file.

        Raises:
            InvalidWeights: a number does not fit its field.
        """
        seen = self._seen_format()
        if not 0 <= self.seen < 1 << (8 * seen.size):
            raise InvalidWeights(
                "header", f"seen={self.seen} does not fit {seen.size} bytes", "Use version 0.2.5"
            )
        return _VERSION.pack(self.major, self.minor, self.revision) + seen.pack(self.seen)

    def _seen_format(self) -> Struct:
        return _SEEN_LONG if self.major * 10 + self.minor >= 2 else _SEEN_SHORT


def read_weights(
    path: str | PathLike[str],
    tensors: Sequence[Tensor],
    *,
    partial: bool = False,
    num_classes: int | None = None,
) -> WeightsHeader:
    """Fill tensors from a `.weights` file. Nothing is changed unless all of the file fits.

    Args:
        path: the file. One whose name ends in `.conv.29` or the like is taken as partial.
        tensors: in the file's order.
        partial: the file may hold the first layers only; the others keep their values.
        num_classes: of the network, for a better message where the file has another.

    Raises:
        InvalidWeights: the file cannot be read, is too short, too long, holds values that are not
            finite, or (partial) ends within a layer.
    """
    path = Path(path)
    partial = partial or _PARTIAL_NAME.search(path.name) is not None
    try:
        with open_regular(path) as file:
            header = _read_header(file, path)
            given = _count_values(file, header, path)
            filled = _tensors_to_fill(tensors, given, path, header, num_classes, partial=partial)
            _check_finite(file, header, path)
            file.seek(header.size)
            _fill(filled, file)
    except OSError as error:
        raise _unreadable(path, error) from error
    return header


def write_weights(
    path: str | PathLike[str], tensors: Sequence[Tensor], header: WeightsHeader
) -> None:
    """Write tensors as a `.weights` file: whole, or not at all.

    Args:
        path: replaced where it exists.
        tensors: in the file's order; written as float32.
        header: as read, for a byte-identical copy; `WeightsHeader()` for new weights.

    Raises:
        CannotWrite: it cannot be.
    """
    path = Path(path)
    with atomic_write(path) as part, part.open("wb") as file:
        file.write(header.to_bytes())
        for tensor in tensors:
            values = tensor.detach().to("cpu", torch.float32).contiguous().numpy()
            file.write(values.astype(_FLOAT, copy=False).data)


def count_floats(path: str | PathLike[str]) -> int:
    """How many values a `.weights` file holds behind its header.

    Raises:
        InvalidWeights: the file cannot be read, or is no `.weights` file.
    """
    path = Path(path)
    try:
        with open_regular(path) as file:
            return _count_values(file, _read_header(file, path), path)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> InvalidWeights:
    return InvalidWeights(str(path), unreadable(error), "Give the path of a .weights file")


def _read_header(file: BinaryIO, path: Path) -> WeightsHeader:
    data = file.read(_HEAD)
    foreign = find_foreign(data)
    if foreign is not None:
        raise InvalidWeights(str(path), f"it is {foreign}", "Give the path of a .weights file")
    file.seek(0)
    data = file.read(_VERSION.size + _SEEN_LONG.size)
    if len(data) >= _VERSION.size + _SEEN_SHORT.size:
        header = WeightsHeader(*_VERSION.unpack_from(data))
        if len(data) >= header.size:
            (seen,) = header._seen_format().unpack_from(data, _VERSION.size)
            return WeightsHeader(header.major, header.minor, header.revision, seen)
    raise InvalidWeights(
        str(path), f"{len(data)} bytes are too few even for its header", "Download it again"
    )


def _count_values(file: BinaryIO, header: WeightsHeader, path: Path) -> int:
    payload = os.fstat(file.fileno()).st_size - header.size
    if payload % _FLOAT.itemsize:
        raise InvalidWeights(
            str(path),
            f"{payload} bytes behind the header are no whole number of float32 values",
            "Download it again: it is cut off, or no .weights file",
        )
    return payload // _FLOAT.itemsize


def _tensors_to_fill(
    tensors: Sequence[Tensor],
    given: int,
    path: Path,
    header: WeightsHeader,
    num_classes: int | None,
    *,
    partial: bool,
) -> Sequence[Tensor]:
    """The tensors that `given` values fill: all, or whole layers from the first on."""
    expected = sum(tensor.numel() for tensor in tensors)
    if given == expected:
        return tensors
    if given > expected or not partial:
        raise InvalidWeights(
            str(path),
            f"it holds {given} values, the network needs {expected}",
            _explain(tensors, given - expected, header, num_classes),
        )
    ends = [0, *accumulate(tensor.numel() for tensor in tensors)]
    count = ends.index(given) if given in ends else -1
    # a layer's last tensor is its kernel
    whole = count == 0 or (count > 0 and tensors[count - 1].dim() == 4)
    if not whole:
        raise InvalidWeights(
            str(path),
            f"its {given} values end within a layer",
            "Use a partial file that was cut from weights of the same first layers",
        )
    return tensors[:count]


def _explain(
    tensors: Sequence[Tensor], surplus: int, header: WeightsHeader, num_classes: int | None
) -> str:
    """What may be the matter with a file that holds `surplus` values too many (or too few)."""
    if not 0 <= header.major <= 2000 or not 0 <= header.minor <= 2000:
        return (
            f"It says version {header.major}.{header.minor}, so it is probably no .weights file; "
            "give one"
        )
    channels = _channels_of_first_layer(tensors, surplus)
    per_class = 0 if num_classes is None else _values_per_class(tensors, num_classes)
    if num_classes is not None and per_class and surplus % per_class == 0:
        classes = num_classes + surplus // per_class
        if classes > 0:
            return (
                f"It fits a network of {classes} classes instead of {num_classes}: use the cfg that"
                " it was trained with"
            )
    if channels:
        return (
            f"It fits a first layer that reads {channels} channel{'s' * (channels != 1)}: the"
            " network was not trained on RGB, and its weights cannot be used here"
        )
    if surplus < 0:
        return "It is cut off, or of another network; download it again, or use its own cfg"
    return "It is of another network: use its own cfg"


def _channels_of_first_layer(tensors: Sequence[Tensor], surplus: int) -> int:
    """How many channels the images would have had; 0 if that is not what differs."""
    kernels = (tensor for tensor in tensors if tensor.dim() == 4)
    first = next((tensor for tensor in kernels if tensor.shape[1] == RGB), None)
    if first is None or not surplus or surplus * RGB % first.numel():
        return 0
    channels = RGB + surplus * RGB // first.numel()
    return channels if 0 < channels <= MAX_CHANNELS else 0


def _values_per_class(tensors: Sequence[Tensor], num_classes: int) -> int:
    """How many values one class more would add, judged by the convolutions without norm."""
    total = 0
    one_value_each = [tensor.dim() == 1 for tensor in tensors]
    for index, tensor in enumerate(tensors):
        biased = tensor.dim() == 4 and one_value_each[max(0, index - 1)]
        normed = index >= 2 and one_value_each[index - 2]
        if biased and not normed and tensor.shape[0] % (5 + num_classes) == 0:
            anchors = tensor.shape[0] // (5 + num_classes)
            total += anchors * (tensor[0].numel() + 1)
    return total


def _check_finite(file: BinaryIO, header: WeightsHeader, path: Path) -> None:
    file.seek(header.size)
    position = 0
    while True:
        values = np.fromfile(file, _FLOAT, _CHUNK)
        if not values.size:
            return
        finite = np.isfinite(values)
        if not finite.all():
            raise InvalidWeights(
                str(path),
                f"value {position + int(finite.argmin())} is {values[finite.argmin()]}",
                "Its training diverged or the file is damaged: use an earlier one",
            )
        position += values.size


@torch.no_grad()
def _fill(tensors: Sequence[Tensor], file: BinaryIO) -> None:
    for tensor in tensors:
        values = np.fromfile(file, _FLOAT, tensor.numel())
        tensor.copy_(torch.from_numpy(values.astype(np.float32, copy=False)).view(tensor.shape))
