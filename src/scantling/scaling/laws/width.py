"""Width scaling: multiply every channel count. Cost grows with the square."""

import math

from ...errors import InvalidValue
from ...specs import BackboneSpec, ModelSpec, StageSpec
from .checks import check_factor, require_stages

STEP = 8  # channels are multiples of it, so that arithmetic on them is fast
_LEAST_SHARE = 0.9  # EfficientNet never rounds a width down by more than a tenth


def widen(
    spec: ModelSpec, factor: float, *, backbone: bool = True, neck: bool = True, stem: bool = True
) -> ModelSpec:
    """Multiply the width: c → ⌈γ·c / 8⌉ · 8; in EfficientNet's stages by its own rounding.

    Parameters and multiply-accumulates grow with γ².

    Args:
        factor: γ, above 0.
        backbone: its stages.
        neck: and the convolutions of the head.
        stem: of the backbone; the x and s variants of YOLOv4-CSP leave it as it is.

    Raises:
        InvalidValue: the factor is none.
        InvalidSpec: the backbone is one of timm.

    Source: Scaled-YOLOv4, section 4.3 (P7: γ = 1.25); EfficientNet, section 3.

    >>> from ...specs import find_spec
    >>> widen(find_spec("yolov4-p5"), 1.25).neck.channels
    (160, 320, 640)
    """
    check_factor("factor", factor)
    name = f"{spec.name}-w{factor:g}"
    widened = spec.replace(name=name)
    if backbone:
        require_stages(spec, "width")
        widened = widened.replace(backbone=_widen_backbone(spec.backbone, factor, stem=stem))
    if neck:
        head = spec.head.channels
        widened = widened.replace(
            neck=spec.neck.replace(
                channels=tuple(round_up(c * factor) for c in spec.neck.channels)
            ),
            head=spec.head.replace(
                channels=None if head is None else tuple(round_up(c * factor) for c in head)
            ),
        )
    return widened


def round_up(width: float, *, step: int = STEP) -> int:
    """Round up to a multiple of `step`, as Scaled-YOLOv4 does.

    >>> round_up(1.25 * 32), round_up(1.25 * 36)
    (40, 48)
    """
    return max(1, math.ceil(round(width / step, 6))) * step


def round_near(width: float, *, step: int = STEP) -> int:
    """Round to a multiple of `step`, not below 90 % of the width, as EfficientNet does.

    >>> round_near(1.1 * 40), round_near(1.1 * 32), round_near(1.1 * 24)
    (48, 32, 24)
    """
    near = max(step, int(width + step / 2) // step * step)
    return near if near >= _LEAST_SHARE * width else near + step


def channel_step(stage: StageSpec) -> int:
    """Divisor that a stage's width must have, for its groups."""
    groups = stage.groups or 32
    if stage.kind == "csp-resnext":
        return max(STEP, 2 * groups)
    if stage.kind == "resnext":
        return max(STEP, math.ceil(groups / (stage.bottleneck or 0.5)))
    return STEP


def _widen_backbone(backbone: BackboneSpec, factor: float, *, stem: bool) -> BackboneSpec:
    efficient = any(stage.kind == "mbconv" for stage in backbone.stages)
    entry = backbone.stem_channels
    if stem:
        entry = round_near(entry * factor) if efficient else round_up(entry * factor)
    return backbone.replace(
        stem_channels=entry,
        stages=tuple(
            stage.replace(channels=_stage_width(stage, factor)) for stage in backbone.stages
        ),
    )


def _stage_width(stage: StageSpec, factor: float) -> int:
    width = stage.channels * factor
    if stage.kind == "mbconv":
        return round_near(width)
    return round_up(width, step=channel_step(stage))


def check_width(width: int, *, step: int = STEP) -> int:
    """Return the width if it is a multiple of `step`.

    Raises:
        InvalidValue: it is not.
    """
    if width < 1 or width % step:
        raise InvalidValue("width", width, f"a multiple of {step}")
    return width
