"""What a file says of itself, against what its model is."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from ..specs.metadata import Metadata
from ..structures import IntArray
from .decode_errors import describe_levels
from .explain import name_fit
from .outputs import DECODING
from .result import Fault

NAMES = "wrong class names"


def compare_metadata(metadata: Metadata, right: Metadata) -> tuple[list[Fault], list[str]]:
    """The mistakes in metadata, and what is only worth knowing.

    Args:
        metadata: of the file.
        right: what the model's own metadata would be.
    """
    faults: list[Fault] = []
    notes: list[str] = []
    own, wrong = right.input_spec, metadata.input_spec
    if own.resize_mode != wrong.resize_mode or (
        own.resize_mode != "stretch" and _fill(own.pad_value) != _fill(wrong.pad_value)
    ):
        name, evidence = name_fit(own, wrong)
        faults.append(Fault(name, "metadata", f"{evidence}, says its metadata"))
    if metadata.levels != right.levels and len(metadata.levels) == len(right.levels):
        evidence = f"its metadata has {describe_levels(right.levels, metadata.levels)}"
        faults.append(Fault(DECODING, "metadata", evidence))
    if (own.mean, own.std) != (wrong.mean, wrong.std):
        notes.append(
            f"its metadata has mean {wrong.mean} and std {wrong.std}, the model {own.mean} and "
            f"{own.std}; what the graph does is seen from its tensors"
        )
    if len(metadata.names) == len(right.names) and sorted(metadata.names) != sorted(right.names):
        pairs = zip(metadata.names, right.names, strict=True)
        wrongly = [f"{a!r} for {b!r}" for a, b in pairs if a != b]
        more = f" and {len(wrongly) - 3} more" if len(wrongly) > 3 else ""
        faults.append(Fault(NAMES, "metadata", f"it says {', '.join(wrongly[:3])}{more}"))
    return faults, notes


def _fill(fill: int | tuple[int, int, int]) -> tuple[int, int, int]:
    return (fill, fill, fill) if isinstance(fill, int) else fill


def match_columns(names: Sequence[str], right: Sequence[str]) -> IntArray:
    """Which column of a file is which class of its model: by name, not by position.

    Args:
        names: of the file's columns.
        right: of the model's classes; where those are others, positions count.

    Returns:
        (K,) the column of each class of the model.
    """
    if len(names) != len(right) or sorted(names) != sorted(right):
        return np.arange(len(right))
    places: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        places[name].append(place)
    return np.array([places[name].pop(0) for name in right], np.int64)
