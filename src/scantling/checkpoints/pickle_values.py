"""What a pickle turns into here: plain containers, and records that stand for everything else."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Global:
    """The name of a class or function that a pickle mentions. It is never imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False, slots=True)
class Record:
    """An object of a class that was not imported: what it would have been made from."""

    kind: Global
    arguments: tuple[Any, ...]
    state: Any = field(default=None)


@dataclass(frozen=True, slots=True)
class Storage:
    """A run of numbers elsewhere in the file.

    Args:
        key: its name in the file.
        dtype: name of the element type, as torch spells it: `float16`.
        length: number of elements.
    """

    key: str
    dtype: str
    length: int


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor that has not been read yet; `offset` and `stride` count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Extent:
    """Where the numbers of a storage lie in the file, in bytes, and their CRC-32 if it is known."""

    start: int
    length: int
    checksum: int | None = None
