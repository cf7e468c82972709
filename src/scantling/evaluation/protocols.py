"""The table of evaluation protocols."""

from collections.abc import Mapping
from types import MappingProxyType

from .coco import COCO
from .protocol import Protocol
from .voc import DARKNET, VOC07, VOC12

# To add a protocol, write a file with a `Protocol`, and add it here.
PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {protocol.name: protocol for protocol in (COCO, VOC07, VOC12, DARKNET)}
)
