"""The table of evaluation protocols."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from ..errors import InvalidValue, lookup
from .coco import COCO
from .protocol import Protocol
from .voc import DARKNET, VOC07, VOC12

# To add a protocol, write a file with a `Protocol`, and add it here.
PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {protocol.name: protocol for protocol in (COCO, VOC07, VOC12, DARKNET)}
)


def choose_protocol(protocol: str | Protocol, *, points: int | None = None) -> Protocol:
    """Look up a protocol by name.

    Args:
        protocol: a name in `PROTOCOLS`; or a protocol, which is returned as it is.
        points: of recall where precision is read, in place of the protocol's own.

    Raises:
        UnknownName: no such protocol.
        InvalidValue: the protocol has no other number of points.
    """
    chosen = protocol if isinstance(protocol, Protocol) else lookup(PROTOCOLS, protocol, "protocol")
    if points is None or points == chosen.points:
        return chosen
    if chosen.fixed_points:
        expected = f"{chosen.points}, which {chosen.name} is defined by; or protocol darknet"
        raise InvalidValue("points", points, expected)
    return replace(chosen, points=points)
