"""What all reduced precisions have in common: a graph of which some layers may stay as they are."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from ..specs.metadata import Metadata

Progress = Callable[[int, int], None]


class Feeds(Protocol):
    """What a graph is shown while ranges are measured; it may be gone through again."""

    def __hash__(self) -> int: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[NDArray[Any]]: ...


@dataclass(frozen=True)
class Draft:
    """A graph whose precision can be reduced, all of it or a part.

    Args:
        layers: its convolutions that can stay as they are, in the order in which they are computed.
        ends: those of the layers that stay as they are in any case.
        write: (layers that stay as they are, what measures ranges, metadata, path): makes the
            file.
    """

    layers: tuple[str, ...]
    ends: tuple[str, ...]
    write: Callable[[frozenset[str], Feeds, Metadata, Path], None]
