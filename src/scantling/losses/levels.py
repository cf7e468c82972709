"""Settings a level, and the levels that a loss can read."""

from collections.abc import Sequence
from typing import TypeVar

from ..errors import InvalidValue
from ..specs.level import Level

Value = TypeVar("Value")


def per_level(setting: str, value: Value | tuple[Value, ...], levels: int) -> tuple[Value, ...]:
    """One value a level, where one for all or one a level was given.

    Raises:
        InvalidValue: neither one nor as many as there are levels.
    """
    if not isinstance(value, tuple):
        return (value,) * levels
    if len(value) != levels:
        raise InvalidValue(setting, value, f"one value, or {levels}, one a level, finest first")
    return value


def check_coding(loss: str, levels: Sequence[Level], codings: tuple[str, ...]) -> None:
    """Refuse a loss for levels whose boxes it cannot read.

    Raises:
        InvalidValue: there is no level, or one has another box coding.
    """
    found = {level.box_coding for level in levels}
    if not found or not found <= set(codings):
        raise InvalidValue(
            f"box_coding for the loss {loss!r}", sorted(found), f"each one of {', '.join(codings)}"
        )
