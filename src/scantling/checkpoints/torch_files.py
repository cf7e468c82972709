"""The two containers that `torch.save` writes, opened without running anything in them.

Since torch 1.6 a zip file, whose entries are not compressed; before that a row of pickles with the
numbers behind them. Only the pickle is read here; tensors are read one at a time, when asked for.
"""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from ..errors import InvalidCheckpoint, UnsafeCheckpoint
from .pickle_rules import ITEM_SIZES, Malformed, Refused
from .pickle_values import Extent, StoredTensor
from .torch_legacy import read_legacy
from .torch_zip import read_zip

_REFETCH = "Fetch the file again, or save it anew with torch.save"


@dataclass(frozen=True)
class TorchFile:
    """What a `.pt` file holds: plain data and inert records, with its tensors still on disk."""

    path: Path
    value: Any
    extents: Mapping[str, Extent]


def read_torch_file(path: Path) -> TorchFile:
    """What `torch.save` wrote into a file. Nothing of it is run, no tensor is read yet.

    Raises:
        UnsafeCheckpoint: its pickle asks for more than tensors, containers and inert classes.
        InvalidCheckpoint: it is damaged, or was not written by `torch.save`.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(512)
            stream.seek(0)
            if start[257:262] == b"ustar":
                raise Malformed("it is a tar file, as before torch 0.1.10")
            read = read_zip if start[:4] == b"PK\x03\x04" else read_legacy
            return TorchFile(path, *read(stream, path.stat().st_size))
    except OSError as error:
        raise InvalidCheckpoint(
            str(path), f"it cannot be read ({error.strerror})", "Give the path of a .pt file"
        ) from error
    except Refused as error:
        raise UnsafeCheckpoint(
            str(path),
            f"its pickle {error}; nothing of it was run",
            "Do not load this file unless you trust who made it; "
            "if you do, save the state dict of its model alone and use that",
        ) from error
    except Malformed as error:
        raise InvalidCheckpoint(str(path), str(error), _REFETCH) from error


def read_tensors(
    file: TorchFile, stored: Mapping[str, StoredTensor]
) -> Iterator[tuple[str, Tensor]]:
    """Read tensors from the file, one at a time, in the type that they were saved in.

    Raises:
        InvalidCheckpoint: the file is damaged, or holds fewer bytes than it promised.
    """
    with file.path.open("rb") as stream:
        for name, tensor in stored.items():
            yield name, _read_tensor(file, stream, tensor)


def _read_tensor(file: TorchFile, stream: IO[bytes], stored: StoredTensor) -> Tensor:
    dtype = getattr(torch, stored.storage.dtype)
    if 0 in stored.shape:
        return torch.empty(stored.shape, dtype=dtype)
    item = ITEM_SIZES[stored.storage.dtype]
    span = 1 + sum(
        (size - 1) * step for size, step in zip(stored.shape, stored.stride, strict=True)
    )
    extent = file.extents[stored.storage.key]
    stream.seek(extent.start + stored.offset * item)
    data = bytearray(span * item)
    if stream.readinto(data) != len(data):  # type: ignore[attr-defined]
        raise InvalidCheckpoint(str(file.path), "it ends inside a tensor", _REFETCH)
    is_whole = len(data) == extent.length  # of a part the checksum says nothing
    if is_whole and extent.checksum not in (None, zlib.crc32(data)):
        raise InvalidCheckpoint(str(file.path), "a tensor in it is damaged", _REFETCH)
    return torch.frombuffer(data, dtype=dtype).as_strided(stored.shape, stored.stride)
