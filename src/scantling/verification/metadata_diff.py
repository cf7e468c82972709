"""What a file says of itself, against what its model is."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from ..specs.metadata import Card
from ..structures import IntArray
from .decode_errors import describe_levels
from .explain import name_fit
from .outputs import DECODING
from .result import Fault

NAMES = "wrong class names"


def compare_cards(card: Card, right: Card) -> tuple[list[Fault], list[str]]:
    """The mistakes in a card, and what is only worth knowing.

    Args:
        card: of the file.
        right: what the model's own card would be.
    """
    faults: list[Fault] = []
    notes: list[str] = []
    own, wrong = right.input_spec, card.input_spec
    if own.fit != wrong.fit or (own.fit != "stretch" and _fill(own.fill) != _fill(wrong.fill)):
        name, evidence = name_fit(own, wrong)
        faults.append(Fault(name, "card", f"{evidence}, says its card"))
    if card.levels != right.levels and len(card.levels) == len(right.levels):
        evidence = f"its card has {describe_levels(right.levels, card.levels)}"
        faults.append(Fault(DECODING, "card", evidence))
    if (own.mean, own.std) != (wrong.mean, wrong.std):
        notes.append(
            f"its card has mean {wrong.mean} and std {wrong.std}, the model {own.mean} and "
            f"{own.std}; what the graph does is seen from its tensors"
        )
    if len(card.names) == len(right.names) and sorted(card.names) != sorted(right.names):
        pairs = zip(card.names, right.names, strict=True)
        wrongly = [f"{a!r} for {b!r}" for a, b in pairs if a != b]
        more = f" and {len(wrongly) - 3} more" if len(wrongly) > 3 else ""
        faults.append(Fault(NAMES, "card", f"it says {', '.join(wrongly[:3])}{more}"))
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
