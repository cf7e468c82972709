"""A graph whose precision can be reduced to INT8 or bf16, in all of its layers or in some."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from ...specs.metadata import Metadata

Progress = Callable[[int, int], None]


class CalibrationInputs(Protocol):
    """Network inputs to measure ranges on; can be iterated several times."""

    def __hash__(self) -> int: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[NDArray[Any]]: ...


@dataclass(frozen=True)
class QuantizableGraph:
    """A graph of which some layers may keep their precision.

    Args:
        layers: names of its convolutions, in the order in which they are computed.
        always_fp32: those that keep their precision in any case.
        write: (layers that keep their precision, calibration inputs, metadata, path): makes the
            file.
    """

    layers: tuple[str, ...]
    always_fp32: tuple[str, ...]
    write: Callable[[frozenset[str], CalibrationInputs, Metadata, Path], None]
