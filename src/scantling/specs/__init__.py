"""What a model is: frozen data, without tensors. Imports no torch."""

from .catalog import CATALOG, find_spec, is_spec_file, read_spec, write_spec
from .changes import change_spec
from .published import SIZES, NetworkSize
from .schema import BackboneSpec, CfgSpec, HeadSpec, InputSpec, ModelSpec, NeckSpec, StageSpec

__all__ = [
    "CATALOG",
    "SIZES",
    "BackboneSpec",
    "CfgSpec",
    "HeadSpec",
    "InputSpec",
    "ModelSpec",
    "NeckSpec",
    "NetworkSize",
    "StageSpec",
    "change_spec",
    "find_spec",
    "is_spec_file",
    "read_spec",
    "write_spec",
]
