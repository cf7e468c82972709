"""Any backbone with any neck and any head: the cross product, and the two families crossed."""

import pytest
import torch

from scantling.detector import build_detector
from scantling.heads import HEADS
from scantling.necks import NECKS
from scantling.scaling.laws.levels import finest_levels
from scantling.specs import BackboneSpec, HeadSpec, ModelSpec, NeckSpec, StageSpec, find_spec
from scantling.specs.efficientdet import efficientnet

YOLOV4, D0 = find_spec("yolov4"), find_spec("efficientdet-d0")


def thin_stages(*kinds: str) -> tuple[StageSpec, ...]:
    """One block a stage, each of stride 2, 16 to 64 channels wide."""
    return tuple(
        StageSpec(
            kind=kind,
            channels=min(64, 16 << index),
            depth=1,
            groups=4 if kind == "csp-resnext" else None,
        )
        for index, kind in enumerate(kinds)
    )


def thin_efficientnet() -> BackboneSpec:
    spec = efficientnet("b0")
    stages = tuple(
        stage.replace(channels=max(8, stage.channels // 8), depth=1) for stage in spec.stages
    )
    return spec.replace(stem_channels=8, stages=stages)


BACKBONES = {
    "csp-darknet": BackboneSpec(
        kind="staged", stem_channels=8, stages=thin_stages("residual", "csp", "csp", "csp", "csp")
    ),
    "csp-resnext": BackboneSpec(
        kind="staged",
        stem_channels=16,
        stem_kernel=7,
        stem_stride=2,
        stem_pool=True,
        activation="leaky",
        stages=thin_stages("csp-resnext", "csp-resnext", "csp-resnext"),
    ),
    "efficientnet": thin_efficientnet(),
}
ANCHORS = tuple(((2 * side, side), (side, side)) for side in (16, 32, 64, 128, 256))
HEAD_SPECS = {
    "efficientdet": HeadSpec(
        kind="efficientdet", anchors=ANCHORS, box_coding="offset", activation="swish"
    ),
    "yolo": HeadSpec(
        kind="yolo", channels=(32,) * 5, anchors=ANCHORS, box_coding="sigmoid", scale_xy=(2.0,) * 5
    ),
}
LEVELS = {"nas-fpn": 5}  # of necks that have one number of levels only; three of the others


def check(spec: ModelSpec) -> None:
    """Build, train a step's gradients, and decode, on a rectangle that the spec allows."""
    torch.manual_seed(0)
    height, width = spec.image_size
    detector = build_detector(spec).train()
    raw = detector(torch.rand(2, 3, height, width))
    cells = [(height // stride, width // stride) for stride in spec.strides]
    assert [tuple(level.shape[-2:]) for level in raw] == cells * (len(raw) // len(cells))
    candidates = detector.decode(raw, (height, width))
    places = sum(
        rows * columns * len(anchors)
        for (rows, columns), anchors in zip(cells, spec.head.anchors, strict=True)
    )
    assert candidates.boxes.shape == (2, places, 4)
    assert candidates.scores.shape == (2, places, spec.num_classes)
    assert candidates.boxes.isfinite().all()
    assert ((candidates.scores >= 0) & (candidates.scores <= 1)).all()
    assert (candidates.boxes[..., 2:] > candidates.boxes[..., :2]).all()
    sum(level.square().mean() for level in raw).backward()
    assert all(parameter.grad is not None for parameter in detector.parameters())


def test_every_head_is_crossed():
    assert set(HEAD_SPECS) == set(HEADS)


@pytest.mark.parametrize("head", HEAD_SPECS)
@pytest.mark.parametrize("neck", NECKS)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_any_backbone_goes_with_any_neck_and_any_head(backbone: str, neck: str, head: str):
    levels = LEVELS.get(neck, 3)
    spec = ModelSpec(
        name=f"{backbone}-{neck}-{head}",
        image_size=(128, 256) if levels > 3 else (64, 96),
        num_classes=3,
        backbone=BACKBONES[backbone],
        neck=NeckSpec(kind=neck, channels=(32,) * levels, depth=1, activation="swish"),
        head=finest_levels(HEAD_SPECS[head], levels),
    )
    assert ModelSpec.model_validate_json(spec.model_dump_json()) == spec
    check(spec)


def test_yolov4_takes_the_backbone_and_the_neck_of_efficientdet():
    neck = D0.neck.replace(channels=(64, 64, 64))
    check(YOLOV4.replace(name="mine", image_size=(64, 96), backbone=D0.backbone, neck=neck))


def test_efficientdet_takes_the_backbone_of_yolov4():
    check(D0.replace(name="mine", image_size=(128, 256), backbone=YOLOV4.backbone))


def test_efficientdet_takes_the_blocks_of_yolov4_in_its_neck():
    neck = D0.neck.replace(context="spp", attention="sam")
    check(D0.replace(name="mine", image_size=(128, 256), neck=neck))
