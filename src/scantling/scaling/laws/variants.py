"""Derive the papers' named variants (s, x, P5 to P7) from one another."""

from ...errors import InvalidSpec, InvalidValue
from ...specs import ModelSpec, find_spec
from .checks import require_all_levels
from .depth import deepen, with_depths
from .kinds import csp_ise
from .levels import add_level
from .resolution import resize
from .width import widen

DEPTHS = (1, 3, 15, 15, 7, 7, 7)  # of the stages of P5, P6 and P7
LARGE_NECK_DEPTH = 3
# Image size and width of the large models, by their number of levels.
LARGE = {3: (896, 1.0), 4: (1280, 1.0), 5: (1536, 1.25)}
_PUBLISHED = {3: "yolov4-p5", 4: "yolov4-p6", 5: "yolov4-p7"}  # whose anchors no law gives
X_FACTOR = 1.25
SMALL_FACTOR = 0.5


def as_x(spec: ModelSpec) -> ModelSpec:
    """Derive the x variant: 1.25 × wider and deeper, same stem, one more pair behind the SPP.

    Of YOLOv4-CSP this makes YOLOv4x-mish: depths 2, 8, 8, 4 become 3, 10, 10, 5.

    Raises:
        InvalidSpec: the neck is no CSP-PAN, or the backbone is one of timm.
    """
    _require_csp_pan(spec)
    scaled = deepen(widen(spec, X_FACTOR, stem=False), X_FACTOR)
    behind = 1 if spec.neck.spp_depth is None else spec.neck.spp_depth
    neck = scaled.neck.replace(spp_depth=behind + 1)
    return scaled.replace(name=f"{spec.name}-x", neck=neck)


def as_small(spec: ModelSpec) -> ModelSpec:
    """Derive the s variant: half as wide, one block in every stage, nothing in front of the SPP.

    The stem stays, and so does the width inside plain residuals, which are as wide as the stage
    then.

    Raises:
        InvalidSpec: the neck is no CSP-PAN, or the backbone is one of timm.
    """
    _require_csp_pan(spec)
    scaled = with_depths(widen(spec, SMALL_FACTOR, stem=False), (1,) * len(spec.backbone.stages))
    stages = tuple(
        stage.replace(bottleneck=(stage.bottleneck or 0.5) / SMALL_FACTOR)
        if stage.kind == "residual"
        else stage
        for stage in scaled.backbone.stages
    )
    return scaled.replace(
        name=f"{spec.name}-s",
        backbone=scaled.backbone.replace(stages=stages),
        neck=scaled.neck.replace(depth=1, spp_lead=0),
    )


def as_large(spec: ModelSpec, levels: int) -> ModelSpec:
    """Derive P5, P6 or P7 from YOLOv4-CSP or P5: all-CSP stages, published depths and sizes.

    Stages and levels are added one by one, as wide and deep as the last. The anchors are those
    that were published with each: no law gives them.

    Args:
        spec: with five stages and three levels.
        levels: 3 for P5, 4 for P6, 5 for P7.

    Raises:
        InvalidValue: another number of levels.
        InvalidSpec: the model has other stages or levels.

    Source: Scaled-YOLOv4, sections 3.3 and 4.3.
    """
    if levels not in LARGE:
        raise InvalidValue("levels", levels, "3 for P5, 4 for P6 or 5 for P7")
    require_all_levels(spec)
    _require_csp_pan(spec)
    if len(spec.backbone.stages) != 5 or len(spec.neck.channels) != 3:
        raise InvalidSpec(
            spec.name,
            f"{len(spec.backbone.stages)} stages and {len(spec.neck.channels)} levels",
            "Begin with five stages and three levels, such as yolov4-csp has",
        )
    scaled = csp_ise(spec)
    for _ in range(levels - 3):
        scaled = add_level(scaled)
    size, width = LARGE[levels]
    scaled = with_depths(scaled, DEPTHS[: len(scaled.backbone.stages)])
    scaled = resize(widen(scaled, width), size)
    anchors = find_spec(_PUBLISHED[levels]).head.anchors
    return scaled.replace(
        name=f"{spec.name}-p{levels + 2}",
        neck=scaled.neck.replace(depth=LARGE_NECK_DEPTH),
        head=scaled.head.replace(anchors=anchors),
    )


def _require_csp_pan(spec: ModelSpec) -> None:
    if spec.neck.kind != "csp-pan":
        raise InvalidSpec(
            spec.name, f"its neck is {spec.neck.kind}, not csp-pan", "Use csp_ise or with_neck"
        )
