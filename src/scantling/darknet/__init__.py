"""The darknet formats: `.cfg` and `.weights` as a network.

Names are imported when they are first used: the text formats load no torch.
"""

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .cfg import Section as Section, parse_cfg as parse_cfg
    from .describe import read_cfg as read_cfg
    from .network import (
        DarknetNetwork as DarknetNetwork,
        build_cfg_network as build_cfg_network,
        load_cfg_network as load_cfg_network,
        loaded_tensors as loaded_tensors,
        stored_tensors as stored_tensors,
    )
    from .weights import (
        WeightsHeader as WeightsHeader,
        count_floats as count_floats,
        read_weights as read_weights,
        write_weights as write_weights,
    )

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "cfg": ["Section", "parse_cfg"],
        "describe": ["read_cfg"],
        "network": [
            "DarknetNetwork",
            "build_cfg_network",
            "load_cfg_network",
            "loaded_tensors",
            "stored_tensors",
        ],
        "weights": ["WeightsHeader", "count_floats", "read_weights", "write_weights"],
    },
)
