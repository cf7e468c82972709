"""Compound scaling: φ sets resolution, width and depth together.

Papers: EfficientNet, https://arxiv.org/abs/1905.11946; EfficientDet,
https://arxiv.org/abs/1911.09070, section 4.
"""

from typing import Any

from ...errors import InvalidSpec, InvalidValue
from ...specs import ModelSpec
from ...specs.efficientdet import anchor_boxes
from .checks import require_all_levels
from .depth import deepen
from .kinds import PYRAMIDS
from .width import STEP, widen

BASE = 1.35  # of the BiFPN's width, found by grid search
PIXELS = 128  # that one step of φ adds to the side
# EfficientNet B0 to B7 as they are used: width and depth over those of B0.
MULTIPLIERS = (
    (1.0, 1.0),
    (1.0, 1.1),
    (1.1, 1.2),
    (1.2, 1.4),
    (1.4, 1.8),
    (1.6, 2.2),
    (1.8, 2.6),
    (2.0, 3.1),
)
# Where the published D1 to D7 are not what the formulas say.
PUBLISHED: dict[int, dict[str, Any]] = {
    2: {"width": 112},
    4: {"width": 224},
    5: {"image_size": 1280, "cells": 7},
    6: {"cells": 8, "fusion": "sum"},
    7: {
        "backbone": 6,
        "image_size": 1536,
        "width": 384,
        "cells": 8,
        "fusion": "sum",
        "anchor_scale": 5.0,
    },
}


def compound(spec: ModelSpec, phi: int, *, published: bool = False) -> ModelSpec:
    """Apply EfficientDet's compound scaling: from φ = 0 (D0, or any model with a pyramid) to φ.

    With R, W and D those of the model at φ = 0:

        size    R + 128 · φ
        pyramid width W · 1.35^φ, to the nearest multiple of 8; cells D + φ
        head    hidden convolutions 3 + ⌊φ / 3⌋
        backbone width and depth of EfficientNet Bφ over those of B0

    Args:
        spec: the model at φ = 0.
        phi: φ, from 0 to 7.
        published: take the values of the published table where it departs from the formulas; see
            `docs/scaling.md`, row by row. D0 then becomes D1, …, D7.

    Raises:
        InvalidValue: there is no such φ.
        InvalidSpec: the neck is no pyramid of one width, or the backbone is one of timm.

    Source: EfficientDet, section 4.2, equations 1 to 3 and table 1.

    >>> from ...specs import find_spec
    >>> compound(find_spec("efficientdet-d0"), 3).neck.channels
    (160, 160, 160, 160, 160)
    """
    if not 0 <= phi < len(MULTIPLIERS):
        raise InvalidValue("phi", phi, f"a whole number from 0 to {len(MULTIPLIERS) - 1}")
    require_all_levels(spec)
    if spec.neck.kind not in PYRAMIDS or len(set(spec.neck.channels)) > 1:
        raise InvalidSpec(
            spec.name,
            f"its neck, {spec.neck.kind}, is no pyramid of one width",
            "Use widen, deepen and scale_size, or with_neck first",
        )
    table = PUBLISHED.get(phi, {}) if published else {}
    scaled = _scale_backbone(spec, table.get("backbone", phi))
    width = table.get("width", _nearest(spec.neck.channels[0] * BASE**phi))
    neck = spec.neck.replace(
        channels=(width,) * len(spec.neck.channels),
        depth=table.get("cells", spec.neck.depth + phi),
        fusion=table.get("fusion", spec.neck.fusion),
    )
    changes: dict[str, Any] = {}
    if spec.head.kind == "efficientdet":
        changes["depth"] = spec.head.depth + phi // 3
    if spec.head.channels is not None:
        changes["channels"] = tuple(_nearest(c * BASE**phi) for c in spec.head.channels)
    if "anchor_scale" in table:
        changes["anchors"] = tuple(
            anchor_boxes(stride, table["anchor_scale"]) for stride in spec.strides
        )
    height, width_ = (side + PIXELS * phi for side in spec.image_size)
    return scaled.replace(
        name=f"{spec.name}-phi{phi}",
        image_size=table.get("image_size", (height, width_)),
        neck=neck,
        head=spec.head.replace(**changes),
    )


def _scale_backbone(spec: ModelSpec, phi: int) -> ModelSpec:
    """Scale EfficientNet B0 to Bφ; lite models keep their stem and the depth of both ends."""
    if phi == 0:
        return spec
    width, depth = MULTIPLIERS[phi]
    stages = spec.backbone.stages
    lite = bool(stages) and all(stage.squeeze == 0 for stage in stages)
    scaled = deepen(widen(spec, width, neck=False, stem=not lite), depth, neck=False)
    if lite:
        first, *inner, last = scaled.backbone.stages
        ends = (first.replace(depth=stages[0].depth), *inner, last.replace(depth=stages[-1].depth))
        return scaled.replace(backbone=scaled.backbone.replace(stages=ends))
    return scaled


def _nearest(width: float) -> int:
    return max(1, int(width / STEP + 0.5)) * STEP
