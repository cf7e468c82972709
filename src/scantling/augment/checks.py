"""Checks of a transform's settings, which may come straight from a file."""

from collections.abc import Sized
from math import isfinite

from ..errors import InvalidValue

# One grey value, or red, green and blue; 0 to 255.
Colour = int | tuple[int, int, int]


def check_number(setting: str, value: object, low: float, high: float) -> None:
    """Check that a value is a finite number from `low` to `high`.

    Raises:
        InvalidValue: it is something else.
    """
    if not _is_number(value) or not low <= value <= high:  # type: ignore[operator]
        raise InvalidValue(setting, value, f"a number from {low:g} to {high:g}")


def check_whole(setting: str, value: object, low: int, high: int) -> None:
    """Check that a value is a whole number from `low` to `high`.

    Raises:
        InvalidValue: it is something else.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidValue(setting, value, f"a whole number from {low} to {high}")


def check_shares(owner: object, *fields: str) -> None:
    """Check that fields of `owner` are shares or probabilities, 0 to 1.

    Raises:
        InvalidValue: one is not.
    """
    for field in fields:
        check_number(f"{type(owner).__name__}.{field}", getattr(owner, field), 0, 1)


def check_range(setting: str, value: object, low: float, high: float) -> None:
    """Check that a value is two ascending numbers from `low` to `high`.

    Raises:
        InvalidValue: they are not.
    """
    if (
        not isinstance(value, tuple)
        or len(value) != 2
        or not all(_is_number(one) for one in value)
        or not low <= value[0] <= value[1] <= high
    ):
        raise InvalidValue(setting, value, f"two ascending numbers from {low:g} to {high:g}")


def check_image_size(setting: str, value: object) -> None:
    """Check that a value is (height, width), whole numbers from 1 to 16384.

    Raises:
        InvalidValue: it is something else.
    """
    if (
        not isinstance(value, tuple)
        or len(value) != 2
        or not all(isinstance(side, int) and 1 <= side <= 16384 for side in value)
    ):
        raise InvalidValue(setting, value, "(height, width), each 1 to 16384")


def check_colour(setting: str, value: object) -> None:
    """Check that a value is a colour: one whole number from 0 to 255, or three.

    Raises:
        InvalidValue: it is something else.
    """
    parts = value if isinstance(value, tuple) and len(value) == 3 else (value,)
    if not all(isinstance(part, int) and 0 <= part <= 255 for part in parts):
        raise InvalidValue(setting, value, "a whole number from 0 to 255, or three of them")


def check_count(samples: Sized, needed: int, mixer: str) -> None:
    """Check that a mixer was given as many samples as it needs.

    Raises:
        InvalidValue: it was handed another number.
    """
    if len(samples) != needed:
        raise InvalidValue(f"samples of {mixer}", f"{len(samples)} samples", f"{needed} of them")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
