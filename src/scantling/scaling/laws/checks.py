"""Checks shared by the scaling laws."""

import math

from ...errors import InvalidSpec, InvalidValue
from ...specs import ModelSpec

LARGEST_FACTOR = 64.0


def check_factor(name: str, factor: float) -> None:
    """Raise unless a scaling factor is positive, finite and not absurdly large.

    Raises:
        InvalidValue: the factor is not above 0, or absurdly large.
    """
    if not (math.isfinite(factor) and 0 < factor <= LARGEST_FACTOR):
        raise InvalidValue(name, factor, f"a number above 0, {LARGEST_FACTOR:g} at most")


def require_stages(spec: ModelSpec, what: str) -> None:
    """Raise for a timm backbone, which has no stages to change.

    Args:
        what: the law wants to change, for the message.

    Raises:
        InvalidSpec: names the network.
    """
    if not spec.backbone.stages:
        raise InvalidSpec(
            spec.name,
            f"its backbone is {spec.backbone.name} of timm, whose {what} cannot be changed",
            "Leave the backbone as it is (backbone=False), or take another network of timm",
        )


def require_all_levels(spec: ModelSpec) -> None:
    """Raise for a sub-network, which was trained with more levels than it has now.

    Raises:
        InvalidSpec: `extract_subnetwork` made it.
    """
    if spec.neck.outputs is not None:
        raise InvalidSpec(
            spec.name, "levels were dropped from it", "Scale the model that it was made from"
        )
