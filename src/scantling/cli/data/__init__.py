"""`scantling data …`: what can be done with labelled images."""

from collections.abc import Callable
from typing import Any

from .anchors import AnchorsOptions, anchors
from .check import CheckOptions, check
from .convert import DataConvertOptions, convert
from .show import DataShowOptions, show
from .stats import StatsOptions, stats
from .stylize import StylizeOptions, stylize

HELP = "Check labelled images, look at them, count them, convert them."

# Every command of the group: its options, and a function from them to the exit code.
COMMANDS: dict[str, tuple[Callable[..., Any], Callable[[Any], int]]] = {
    "check": (CheckOptions, check),
    "convert": (DataConvertOptions, convert),
    "stats": (StatsOptions, stats),
    "show": (DataShowOptions, show),
    "anchors": (AnchorsOptions, anchors),
    "stylize": (StylizeOptions, stylize),
}
