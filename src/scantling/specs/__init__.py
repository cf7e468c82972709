"""What a model is: frozen data, without tensors. Imports no torch."""

from .catalog import CATALOG, find_spec
from .schema import (
    BackboneSpec,
    CfgSpec,
    HeadSpec,
    InputSpec,
    ModelSpec,
    NeckSpec,
    StageSpec,
)

__all__ = [
    "CATALOG",
    "BackboneSpec",
    "CfgSpec",
    "HeadSpec",
    "InputSpec",
    "ModelSpec",
    "NeckSpec",
    "StageSpec",
    "find_spec",
]
