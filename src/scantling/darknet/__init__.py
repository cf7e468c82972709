"""The darknet formats: `.cfg` and `.weights` as a network.

Names are imported when they are first used: the text formats load no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cfg import Section, parse_cfg
    from .describe import read_cfg
    from .levels import Level
    from .network import (
        DarknetNetwork,
        build_cfg_network,
        load_cfg_network,
        loaded_tensors,
        stored_tensors,
    )
    from .weights import WeightsHeader, count_floats, read_weights, write_weights

_HOMES = {
    "DarknetNetwork": "network",
    "Level": "levels",
    "Section": "cfg",
    "WeightsHeader": "weights",
    "build_cfg_network": "network",
    "count_floats": "weights",
    "load_cfg_network": "network",
    "loaded_tensors": "network",
    "parse_cfg": "cfg",
    "read_cfg": "describe",
    "read_weights": "weights",
    "stored_tensors": "network",
    "write_weights": "weights",
}

__all__ = [
    "DarknetNetwork",
    "Level",
    "Section",
    "WeightsHeader",
    "build_cfg_network",
    "count_floats",
    "load_cfg_network",
    "loaded_tensors",
    "parse_cfg",
    "read_cfg",
    "read_weights",
    "stored_tensors",
    "write_weights",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
