"""What a model is: frozen data, without tensors. Imports no torch.

Names are imported when they are first used: who reads a cfg needs no catalogue.
"""

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .catalog import (
        CATALOG as CATALOG,
        change_spec as change_spec,
        find_spec as find_spec,
        is_spec_file as is_spec_file,
        read_spec as read_spec,
        write_spec as write_spec,
    )
    from .nms import NmsSpec as NmsSpec
    from .published import SIZES as SIZES, NetworkSize as NetworkSize
    from .schema import (
        BackboneSpec as BackboneSpec,
        CfgSpec as CfgSpec,
        HeadSpec as HeadSpec,
        InputSpec as InputSpec,
        ModelSpec as ModelSpec,
        NeckSpec as NeckSpec,
        StageSpec as StageSpec,
    )

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "catalog": [
            "CATALOG",
            "change_spec",
            "find_spec",
            "is_spec_file",
            "read_spec",
            "write_spec",
        ],
        "nms": ["NmsSpec"],
        "published": ["SIZES", "NetworkSize"],
        "schema": [
            "BackboneSpec",
            "CfgSpec",
            "HeadSpec",
            "InputSpec",
            "ModelSpec",
            "NeckSpec",
            "StageSpec",
        ],
    },
)
