"""Add and remove levels: P5 → P6 → P7. Each stage doubles the receptive field."""

from collections.abc import Sequence

from ...errors import InvalidSpec
from ...specs import BackboneSpec, HeadSpec, ModelSpec
from ...specs.level import Anchor
from .checks import require_all_levels
from .resolution import fit_size

# Necks that have one level a feature; the others make coarser levels themselves.
FEATURE_NECKS = frozenset({"csp-pan", "exact-fusion", "pan", "tiny-fpn"})


def add_level(spec: ModelSpec, *, anchors: Sequence[Anchor] | None = None) -> ModelSpec:
    """Add a coarser level: a backbone stage like the last one, a neck level and a head level.

    The new stage has the width and the depth of the last one, as P6 and P7 have. A pyramid such as
    the BiFPN makes the level itself, without a stage. The image size is rounded up to the new
    stride; usually one makes it larger too, so that objects fill the new level.

    Args:
        anchors: of the new level, (width, height) in pixels of the network's input; twice those of
            the level before if None, which is exact for EfficientDet and a beginning for YOLO.

    Raises:
        InvalidSpec: the backbone has no stages to add to, or levels were dropped from the model.

    Source: Scaled-YOLOv4, section 3.3; EfficientDet D7x.
    """
    require_all_levels(spec)
    neck, head = spec.neck, spec.head
    backbone = spec.backbone
    if neck.kind in FEATURE_NECKS:
        backbone = add_stage(spec.name, backbone)
    group = anchors or [(2 * width, 2 * height) for width, height in head.anchors[-1]]
    size = spec.image_size
    if spec.head.scale_xy:
        size = fit_size(size, 2 * spec.size_step)
    return spec.replace(
        name=f"{spec.name}+1",
        image_size=size,
        backbone=backbone,
        neck=neck.replace(channels=(*neck.channels, neck.channels[-1])),
        head=head.replace(
            channels=None if head.channels is None else (*head.channels, head.channels[-1]),
            scale_xy=(*head.scale_xy, *head.scale_xy[-1:]),
            anchors=(*head.anchors, tuple(group)),
        ),
    )


def remove_level(spec: ModelSpec) -> ModelSpec:
    """Remove the coarsest level: the reverse of `add_level`. The model is to be trained anew.

    For a trained model see `scaling.subnetwork`, which keeps what the other levels rest on.

    Raises:
        InvalidSpec: there is one level only, or levels were dropped from the model.
    """
    require_all_levels(spec)
    neck = spec.neck
    if len(neck.channels) == 1 or (len(neck.channels) == 2 and neck.kind not in FEATURE_NECKS):
        raise InvalidSpec(
            spec.name, f"it has {len(neck.channels)} levels only", "Scale its width or depth"
        )
    backbone = spec.backbone
    if backbone.outputs == len(neck.channels):
        backbone = _without_coarsest(spec.name, backbone)
    return spec.replace(
        name=f"{spec.name}-1",
        backbone=backbone,
        neck=neck.replace(channels=neck.channels[:-1]),
        head=finest_levels(spec.head, len(neck.channels) - 1),
    )


def finest_levels(head: HeadSpec, levels: int) -> HeadSpec:
    """The head without its coarser levels."""
    return head.replace(
        channels=None if head.channels is None else head.channels[:levels],
        scale_xy=head.scale_xy[:levels],
        anchors=head.anchors[:levels],
    )


def add_stage(name: str, backbone: BackboneSpec) -> BackboneSpec:
    """One more stage of stride 2, like the last one, and its features as one more output.

    Raises:
        InvalidSpec: the backbone is one of timm.
    """
    if not backbone.stages:
        raise InvalidSpec(
            name,
            f"{backbone.name} of timm ends at stride {backbone.feature_strides[-1]}",
            "Use a pyramid such as bifpn as its neck, which makes coarser levels itself",
        )
    last = backbone.stages[-1].replace(stride=2)
    return backbone.replace(stages=(*backbone.stages, last), outputs=backbone.outputs + 1)


def _without_coarsest(name: str, backbone: BackboneSpec) -> BackboneSpec:
    if backbone.outputs == 1:
        raise InvalidSpec(name, "its backbone has one output only", "Scale its width or depth")
    if not backbone.stages:
        strides = backbone.feature_strides[:-1]
        return backbone.replace(feature_strides=strides, outputs=backbone.outputs - 1)
    coarsest = backbone.strides[-1]
    kept = sum(stride < coarsest for stride in backbone.strides)
    return backbone.replace(stages=backbone.stages[:kept], outputs=backbone.outputs - 1)
