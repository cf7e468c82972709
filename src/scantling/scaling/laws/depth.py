"""Depth scaling: blocks in stages, fusions and heads. Cost grows linearly."""

import math
from collections.abc import Sequence

from ...errors import InvalidSpec
from ...specs import ModelSpec, StageSpec
from .checks import check_factor, require_stages

MOST_BLOCKS = 4096  # in one stage, far above any network


def deepen(
    spec: ModelSpec, factor: float, *, backbone: bool = True, neck: bool = True
) -> ModelSpec:
    """Multiply the depth: k → round(β·k), half up, one at least; a single block stays single.

    EfficientNet's stages are rounded up instead, single blocks too, as its paper does. Of the
    stages, cost and parameters grow with β; one more k×k convolution adds k − 1 cells to what a
    cell sees.

    Args:
        factor: β, above 0.
        backbone: its stages.
        neck: its fusions or cells; and the hidden convolutions of EfficientDet's head.

    Raises:
        InvalidValue: the factor is none.
        InvalidSpec: the backbone is one of timm, or a stage would have thousands of blocks.

    Source: Scaled-YOLOv4, section 3.1 and table 1; EfficientNet, section 3.

    >>> from ...specs import find_spec
    >>> [stage.depth for stage in deepen(find_spec("yolov4-csp"), 1.25).backbone.stages]
    [1, 3, 10, 10, 5]
    """
    check_factor("factor", factor)
    deeper = spec.replace(name=f"{spec.name}-d{factor:g}")
    if backbone:
        require_stages(spec, "depth")
        depths = [_stage_depth(stage, factor) for stage in spec.backbone.stages]
        deeper = with_depths(deeper, depths, name=deeper.name)
    if neck:
        deeper = deeper.replace(
            neck=spec.neck.replace(depth=round_depth(spec.neck.depth, factor)),
            head=spec.head.replace(depth=round_depth(spec.head.depth, factor)),
        )
    return deeper


def with_depths(spec: ModelSpec, depths: Sequence[int], *, name: str | None = None) -> ModelSpec:
    """Set the number of blocks of each backbone stage: the stage list of Scaled-YOLOv4.

    Args:
        depths: one a stage, finest first: (1, 3, 15, 15, 7) of P5.
        name: of the result; the list behind the old name if None.

    Raises:
        InvalidSpec: another number of stages; no block, or thousands of them; a backbone of timm.

    Source: Scaled-YOLOv4, section 3.3.
    """
    require_stages(spec, "depth")
    stages = spec.backbone.stages
    if len(depths) != len(stages) or not all(1 <= depth <= MOST_BLOCKS for depth in depths):
        raise InvalidSpec(
            spec.name,
            f"depths {tuple(depths)} for {len(stages)} stages",
            f"Give one from 1 to {MOST_BLOCKS} for each stage, like "
            f"{tuple(stage.depth for stage in stages)}",
        )
    changed = tuple(stage.replace(depth=depth) for stage, depth in zip(stages, depths, strict=True))
    return spec.replace(
        name=name or f"{spec.name}-{'.'.join(map(str, depths))}",
        backbone=spec.backbone.replace(stages=changed),
    )


def round_depth(depth: int, factor: float) -> int:
    """Multiply a depth by a factor, rounding half up; a single block stays single.

    >>> round_depth(2, 1.25), round_depth(8, 1.25), round_depth(1, 3.0), round_depth(3, 0.1)
    (3, 10, 1, 1)
    """
    return depth if depth == 1 else max(1, math.floor(depth * factor + 0.5))


def _stage_depth(stage: StageSpec, factor: float) -> int:
    if stage.kind == "mbconv":
        return max(1, math.ceil(round(stage.depth * factor, 6)))
    return round_depth(stage.depth, factor)
