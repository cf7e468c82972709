"""Change the kind of stages and necks: plain, cross-stage partial, one-shot aggregation."""

from collections.abc import Collection

from ...errors import InvalidSpec, InvalidValue, lookup
from ...heads import HEADS
from ...specs import ModelSpec, NeckSpec, StageSpec
from .checks import require_all_levels, require_stages
from .levels import FEATURE_NECKS, add_stage
from .width import channel_step, check_width

# Each plain kind and its cross-stage partial one: Dark, Res and ResX of the papers.
CSP_OF = {"residual": "csp", "resnet": "csp-resnet", "resnext": "csp-resnext"}
PLAIN_OF = {csp: kind for kind, csp in CSP_OF.items()}
OSA_DEPTH = 2  # with the convolution in front, the paper's k = 3 for g = b / 2
STAGE_KINDS = frozenset({*CSP_OF, *PLAIN_OF, "conv", "csp-osa", "mbconv", "pool-conv"})
PYRAMIDS = frozenset({"asff", "bifpn", "fpn", "fully-connected-fpn", "nas-fpn", "panet", "sfam"})


def csp_ise(
    spec: ModelSpec, *, stages: Collection[int] | None = None, neck: bool = True
) -> ModelSpec:
    """Convert plain stages to cross-stage partial, and a plain PAN to a CSP-PAN.

    As the depth grows, this saves 4/17 of a Res stage's cost, 64/137 of a ResX stage's and half of
    a Dark stage's; of one with a single block it saves next to nothing.

    Args:
        stages: places of the stages to change, from 0; all that are plain if None.
        neck: whether the neck too.

    Raises:
        InvalidSpec: a stage is neither plain nor partial, or cannot be divided.

    Source: CSPNet, section 3.2; Scaled-YOLOv4, sections 3.1 and 4.1, table 2.
    """
    return _convert(spec, CSP_OF, stages=stages, neck=("pan", "csp-pan") if neck else None)


def plain(
    spec: ModelSpec, *, stages: Collection[int] | None = None, neck: bool = True
) -> ModelSpec:
    """Convert cross-stage partial stages back to plain ones, as YOLOv4-CSP's first stage.

    Raises:
        InvalidSpec: a stage is neither plain nor partial.

    Source: Scaled-YOLOv4, section 4.1.
    """
    return _convert(spec, PLAIN_OF, stages=stages, neck=("csp-pan", "pan") if neck else None)


def with_stage_kind(
    spec: ModelSpec, kind: str, *, stages: Collection[int] | None = None, depth: int | None = None
) -> ModelSpec:
    """Change the kind of stages; widths and strides stay.

    Args:
        kind: a name in `scantling.blocks.STAGES`.
        stages: places of the stages to change, from 0; all if None.
        depth: of each; 2 for `csp-osa`, else as it was, if None.

    Raises:
        InvalidSpec: a stage cannot be of this kind.
        UnknownName: there is no such kind.
        InvalidValue: there is no such stage.

    Source: Scaled-YOLOv4, section 3.2 (one-shot aggregation, CSPOSANet).
    """
    require_stages(spec, "stages")
    lookup(dict.fromkeys(STAGE_KINDS, kind), kind, "stage")
    before = spec.backbone.stages
    changed = list(before)
    for place in _places(spec, stages):
        made = _stage(before[place], kind, depth)
        width = before[place - 1].channels if place else spec.backbone.stem_channels
        _check_stage(spec.name, made, place, width)
        changed[place] = made
    # only EfficientNet's stages can pad as TensorFlow does
    same = spec.backbone.same_padding and all(stage.kind == "mbconv" for stage in changed)
    backbone = spec.backbone.replace(stages=tuple(changed), same_padding=same)
    return spec.replace(name=f"{spec.name}-{kind}", backbone=backbone)


def with_neck(
    spec: ModelSpec, kind: str, *, width: int | None = None, depth: int | None = None
) -> ModelSpec:
    """Change the kind of neck; levels and head stay.

    To a path aggregation, stages are added to the backbone where the old neck made levels itself.

    Args:
        kind: a name in `scantling.necks.NECKS`.
        width: of every level of a pyramid; that of the middle level if None. The widths of a path
            aggregation stay as they are.
        depth: of the new neck; as it was if None.

    Raises:
        InvalidSpec: the head or the backbone does not go with it.
        UnknownName: there is no such kind.
        InvalidValue: the width is no multiple of 8, or none can be given.
    """
    require_all_levels(spec)
    known = FEATURE_NECKS | PYRAMIDS
    lookup(dict.fromkeys(known, kind), kind, "neck")
    old, backbone = spec.neck, spec.backbone
    channels = old.channels
    if kind == "nas-fpn" and len(channels) != 5:
        raise InvalidSpec(spec.name, f"nas-fpn with {len(channels)} levels", "Give it five")
    if kind in PYRAMIDS:
        one = width or channels[len(channels) // 2]
        channels = (check_width(one),) * len(channels)
    elif width is not None:
        raise InvalidValue("width", width, f"none for {kind}: use widen, which keeps proportions")
    elif lookup(HEADS, spec.head.kind, "head").shares_levels and len(set(channels)) > 1:
        raise InvalidSpec(spec.name, "its head needs one width", f"Use {sorted(PYRAMIDS)}")
    if kind in FEATURE_NECKS:
        for _ in range(len(channels) - backbone.outputs):
            backbone = add_stage(spec.name, backbone)
    if kind == old.kind or {kind, old.kind} <= PYRAMIDS:
        fusion = None if kind == "nas-fpn" else old.fusion  # its graph has its own
        neck = old.replace(kind=kind, channels=channels, depth=depth or old.depth, fusion=fusion)
    else:  # settings of the old kind mean nothing to the new one
        neck = NeckSpec(
            kind=kind,
            channels=channels,
            depth=depth or old.depth,
            activation=old.activation,
            context=old.context,
            attention=old.attention,
        )
    return spec.replace(name=f"{spec.name}-{kind}", backbone=backbone, neck=neck)


def _convert(
    spec: ModelSpec,
    kinds: dict[str, str],
    *,
    stages: Collection[int] | None,
    neck: tuple[str, str] | None,
) -> ModelSpec:
    """Replace stage kinds by the mapping `kinds`, and a neck of kind `neck[0]` by `neck[1]`."""
    changed = spec
    if spec.backbone.stages:
        places = _places(spec, stages)
        for place in places:
            kind = spec.backbone.stages[place].kind
            if kind in kinds:
                changed = with_stage_kind(changed, kinds[kind], stages=(place,))
            elif stages is not None and kind not in kinds.values():
                raise InvalidSpec(
                    spec.name,
                    f"its stage {place} is of kind {kind}",
                    f"Only {', '.join(kinds)} can be changed so",
                )
    elif stages:
        require_stages(spec, "stages")
    if neck is not None and spec.neck.kind == neck[0]:
        changed = with_neck(changed, neck[1])
    return changed.replace(name=f"{spec.name}-{'csp' if kinds is CSP_OF else 'plain'}")


def _places(spec: ModelSpec, stages: Collection[int] | None) -> list[int]:
    count = len(spec.backbone.stages)
    places = sorted(range(count) if stages is None else set(stages))
    if places and not (places[0] >= 0 and places[-1] < count):
        raise InvalidValue("stages", sorted(places), f"places from 0 to {count - 1}")
    return places


def _stage(stage: StageSpec, kind: str, depth: int | None) -> StageSpec:
    """The stage as another kind, with that kind's default settings."""
    if kind == stage.kind:
        return stage.replace(depth=depth or stage.depth)
    kept = OSA_DEPTH if kind == "csp-osa" else stage.depth
    return StageSpec(kind=kind, channels=stage.channels, depth=depth or kept, stride=stage.stride)


def _check_stage(name: str, stage: StageSpec, place: int, in_channels: int) -> None:
    """Raise where a stage's groups do not divide its width."""
    step = channel_step(stage)
    grouped = step // 2 if stage.kind == "csp-resnext" and stage.stride > 1 else 1
    if stage.channels % step or in_channels % grouped:
        raise InvalidSpec(
            name,
            f"stage {place} of {in_channels} to {stage.channels} channels as {stage.kind}",
            f"Its width must be a multiple of {step}, and that before of {grouped}",
        )
    if stage.kind == "csp-resnext" and stage.stride == 1 and in_channels > stage.channels // 2:
        raise InvalidSpec(
            name,
            f"stage {place}, of stride 1, gets {in_channels} channels but its branch has "
            f"{stage.channels // 2}",
            "Use csp, or make it wider",
        )
