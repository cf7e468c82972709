"""The YOLOv4 family, from tiny to P7.

Papers: YOLOv4, https://arxiv.org/abs/2004.10934; Scaled-YOLOv4, https://arxiv.org/abs/2011.08036.
The layers are those of darknet's public cfg files. Those named `-pt`, and P7, are the graphs of the
PyTorch checkpoints, which normalise the CSP blocks of the neck jointly.
"""

from .nms import DARKNET_DIOU, NmsSpec
from .schema import BackboneSpec, HeadSpec, InputSpec, ModelSpec, NeckSpec, StageSpec

THREE_ANCHORS = (
    ((12, 16), (19, 36), (40, 28)),
    ((36, 75), (76, 55), (72, 146)),
    ((142, 110), (192, 243), (459, 401)),
)
STRETCH = InputSpec(resize_mode="stretch")


def csp_stages(channels: tuple[int, ...], depths: tuple[int, ...]) -> tuple[StageSpec, ...]:
    """CSP stages of stride 2, finest first."""
    return tuple(
        StageSpec(kind="csp", channels=width, depth=depth)
        for width, depth in zip(channels, depths, strict=True)
    )


YOLOV4 = ModelSpec(
    name="yolov4",
    image_size=608,
    input=STRETCH,
    nms=DARKNET_DIOU,
    backbone=BackboneSpec(
        kind="staged",
        stem_channels=32,
        stages=(
            StageSpec(kind="csp", channels=64, depth=1, partial=1.0, bottleneck=0.5),
            *csp_stages((128, 256, 512, 1024), (2, 8, 8, 4)),
        ),
    ),
    neck=NeckSpec(kind="pan", channels=(128, 256, 512), depth=2, activation="leaky"),
    head=HeadSpec(
        kind="yolo",
        channels=(256, 512, 1024),
        anchors=THREE_ANCHORS,
        box_coding="exponential",
        scale_xy=(1.2, 1.1, 1.05),
        activation="leaky",
    ),
)

YOLOV4_SAM_MISH = YOLOV4.replace(
    name="yolov4-sam-mish",
    image_size=512,
    neck=YOLOV4.neck.replace(activation="mish", attention="sam"),
    head=YOLOV4.head.replace(activation="mish"),
)

YOLOV4_CSRESNEXT50 = YOLOV4.replace(
    name="yolov4-csresnext50",
    backbone=BackboneSpec(
        kind="staged",
        stem_channels=64,
        stem_kernel=7,
        stem_stride=2,
        stem_pool=True,
        activation="leaky",
        stages=(
            StageSpec(
                kind="csp-resnext", channels=256, depth=3, stride=1, split_activation="leaky"
            ),
            StageSpec(kind="csp-resnext", channels=512, depth=3),
            StageSpec(kind="csp-resnext", channels=1024, depth=5),
            StageSpec(kind="csp-resnext", channels=2048, depth=2, split_activation="leaky"),
        ),
    ),
)

YOLOV4_TINY = ModelSpec(
    name="yolov4-tiny",
    image_size=416,
    input=STRETCH,
    nms=DARKNET_DIOU,
    backbone=BackboneSpec(
        kind="staged",
        stem_channels=32,
        stem_stride=2,
        activation="leaky",
        outputs=2,
        stages=(
            StageSpec(kind="conv", channels=64, depth=1),
            StageSpec(kind="csp-osa", channels=128, depth=2, stride=1),
            StageSpec(kind="csp-osa", channels=256, depth=2),
            StageSpec(kind="csp-osa", channels=512, depth=2),
            StageSpec(kind="pool-conv", channels=512, depth=1),
        ),
    ),
    neck=NeckSpec(kind="tiny-fpn", channels=(256, 512), depth=1, activation="leaky"),
    head=HeadSpec(
        kind="yolo",
        anchors=(
            ((23, 27), (37, 58), (81, 82)),  # (81, 82) serves both levels; (10, 14) none
            ((81, 82), (135, 169), (344, 319)),
        ),
        box_coding="exponential",
        scale_xy=(1.05, 1.05),
        activation="leaky",
    ),
)

YOLOV4_TINY_3L = YOLOV4_TINY.replace(
    name="yolov4-tiny-3l",
    image_size=608,
    backbone=YOLOV4_TINY.backbone.replace(outputs=3),
    neck=YOLOV4_TINY.neck.replace(channels=(128, 256, 512)),
    head=YOLOV4_TINY.head.replace(anchors=THREE_ANCHORS, scale_xy=(1.05, 1.05, 1.05)),
)

YOLOV4_CSP = ModelSpec(
    name="yolov4-csp",
    image_size=640,
    nms=DARKNET_DIOU,
    backbone=BackboneSpec(
        kind="staged",
        stem_channels=32,
        stages=(
            StageSpec(kind="residual", channels=64, depth=1),
            *csp_stages((128, 256, 512, 1024), (2, 8, 8, 4)),
        ),
    ),
    neck=NeckSpec(kind="csp-pan", channels=(128, 256, 512), depth=2),
    head=HeadSpec(
        kind="yolo",
        channels=(256, 512, 1024),
        anchors=THREE_ANCHORS,
        box_coding="sigmoid",
        scale_xy=(2.0, 2.0, 2.0),
    ),
)

YOLOV4X_MISH = YOLOV4_CSP.replace(
    name="yolov4x-mish",
    backbone=BackboneSpec(
        kind="staged",
        stem_channels=32,
        stages=(
            StageSpec(kind="residual", channels=80, depth=1),
            *csp_stages((160, 320, 640, 1280), (3, 10, 10, 5)),
        ),
    ),
    neck=NeckSpec(kind="csp-pan", channels=(160, 320, 640), depth=3, spp_depth=2),
    head=YOLOV4_CSP.head.replace(channels=(320, 640, 1280)),
)

YOLOV4_P5 = ModelSpec(
    name="yolov4-p5",
    image_size=896,
    nms=DARKNET_DIOU,
    backbone=BackboneSpec(
        kind="staged",
        stem_channels=32,
        stages=csp_stages((64, 128, 256, 512, 1024), (1, 3, 15, 15, 7)),
    ),
    neck=NeckSpec(kind="csp-pan", channels=(128, 256, 512), depth=3),
    head=HeadSpec(
        kind="yolo",
        channels=(256, 512, 1024),
        anchors=(
            ((13, 17), (31, 25), (24, 51), (61, 45)),
            ((48, 102), (119, 96), (97, 189), (217, 184)),
            ((171, 384), (324, 451), (616, 618), (800, 800)),
        ),
        box_coding="sigmoid",
        scale_xy=(2.0, 2.0, 2.0),
    ),
)

YOLOV4_P6 = ModelSpec(
    name="yolov4-p6",
    image_size=1280,
    nms=DARKNET_DIOU,
    backbone=BackboneSpec(
        kind="staged",
        stem_channels=32,
        stages=csp_stages((64, 128, 256, 512, 1024, 1024), (1, 3, 15, 15, 7, 7)),
        outputs=4,
    ),
    neck=NeckSpec(kind="csp-pan", channels=(128, 256, 512, 512), depth=3),
    head=HeadSpec(
        kind="yolo",
        channels=(256, 512, 1024, 1024),
        anchors=(
            ((13, 17), (31, 25), (24, 51), (61, 45)),
            ((61, 45), (48, 102), (119, 96), (97, 189)),
            ((97, 189), (217, 184), (171, 384), (324, 451)),
            ((324, 451), (545, 357), (616, 618), (1024, 1024)),
        ),
        box_coding="sigmoid",
        scale_xy=(2.0, 2.0, 2.0, 2.0),
    ),
)


def as_checkpoint(spec: ModelSpec, name: str) -> ModelSpec:
    """The same variant as the Scaled-YOLOv4 PyTorch code builds and trains it."""
    return spec.replace(
        name=name,
        input=InputSpec(pad_value=114),
        nms=NmsSpec(),  # which goes by the IoU alone
        neck=spec.neck.replace(joint_norm=True),
        norm_eps=1e-3,
    )


YOLOV4_P7 = as_checkpoint(
    ModelSpec(
        name="yolov4-p7",
        image_size=1536,
        backbone=BackboneSpec(
            kind="staged",
            stem_channels=40,
            stages=csp_stages((80, 160, 320, 640, 1280, 1280, 1280), (1, 3, 15, 15, 7, 7, 7)),
            outputs=5,
        ),
        neck=NeckSpec(kind="csp-pan", channels=(160, 320, 640, 640, 640), depth=3),
        head=HeadSpec(
            kind="yolo",
            channels=(320, 640, 1280, 1280, 1280),
            anchors=(
                ((13, 17), (22, 25), (27, 66), (55, 41)),
                ((57, 88), (112, 69), (69, 177), (136, 138)),
                ((136, 138), (287, 114), (134, 275), (268, 248)),
                ((268, 248), (232, 504), (445, 416), (640, 640)),
                ((812, 393), (477, 808), (1070, 908), (1408, 1408)),
            ),
            box_coding="sigmoid",
            scale_xy=(2.0, 2.0, 2.0, 2.0, 2.0),
        ),
    ),
    "yolov4-p7",
)

VARIANTS = (
    YOLOV4,
    YOLOV4_SAM_MISH,
    YOLOV4_CSRESNEXT50,
    YOLOV4_TINY,
    YOLOV4_TINY_3L,
    YOLOV4_CSP,
    YOLOV4X_MISH,
    YOLOV4_P5,
    YOLOV4_P6,
    YOLOV4_P7,
    as_checkpoint(YOLOV4_CSP, "yolov4-csp-pt"),
    as_checkpoint(YOLOV4_P5, "yolov4-p5-pt"),
    as_checkpoint(YOLOV4_P6, "yolov4-p6-pt"),
)
