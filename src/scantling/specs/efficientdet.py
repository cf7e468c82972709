"""The EfficientDet family, D0 to D7x and lite: one table, a row per variant.

Papers: EfficientDet, https://arxiv.org/abs/1911.09070; EfficientNet,
https://arxiv.org/abs/1905.11946. Read down a column to see compound scaling at work.
"""

from typing import NamedTuple

from .level import Anchor
from .schema import BackboneSpec, HeadSpec, InputSpec, ModelSpec, NeckSpec, StageSpec

# Of every EfficientNet: kernel, stride and expansion of its seven stages.
KERNELS = (3, 3, 5, 3, 5, 5, 3)
STRIDES = (1, 2, 2, 2, 1, 2, 1)
EXPANSIONS = (1.0, 6.0, 6.0, 6.0, 6.0, 6.0, 6.0)


class Backbone(NamedTuple):
    """What differs between EfficientNets."""

    stem: int
    channels: tuple[int, ...]
    depths: tuple[int, ...]


BACKBONES = {
    "b0": Backbone(32, (16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1)),
    "b1": Backbone(32, (16, 24, 40, 80, 112, 192, 320), (2, 3, 3, 4, 4, 5, 2)),
    "b2": Backbone(32, (16, 24, 48, 88, 120, 208, 352), (2, 3, 3, 4, 4, 5, 2)),
    "b3": Backbone(40, (24, 32, 48, 96, 136, 232, 384), (2, 3, 3, 5, 5, 6, 2)),
    "b4": Backbone(48, (24, 32, 56, 112, 160, 272, 448), (2, 4, 4, 6, 6, 8, 2)),
    "b5": Backbone(48, (24, 40, 64, 128, 176, 304, 512), (3, 5, 5, 7, 7, 9, 3)),
    "b6": Backbone(56, (32, 40, 72, 144, 200, 344, 576), (3, 6, 6, 8, 8, 11, 3)),
    "b7": Backbone(64, (32, 48, 80, 160, 224, 384, 640), (4, 7, 7, 10, 10, 13, 4)),
    "lite0": Backbone(32, (16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1)),
    "lite1": Backbone(32, (16, 24, 40, 80, 112, 192, 320), (1, 3, 3, 4, 4, 5, 1)),
    "lite2": Backbone(32, (16, 24, 48, 88, 120, 208, 352), (1, 3, 3, 4, 4, 5, 1)),
    "lite3": Backbone(32, (24, 32, 48, 96, 136, 232, 384), (1, 3, 3, 5, 5, 6, 1)),
    "lite4": Backbone(32, (24, 32, 56, 112, 160, 272, 448), (1, 4, 4, 6, 6, 8, 1)),
}


class CompoundRow(NamedTuple):
    """What differs between variants."""

    name: str
    backbone: str
    image_size: int
    channels: int  # of the BiFPN
    cells: int  # of the BiFPN
    head_depth: int
    levels: int
    anchor_scale: float
    fusion: str


# fmt: off
TABLE = (
    #   name     backbone  size  channels cells head levels anchors fusion
    CompoundRow("d0",    "b0",      512,   64,     3,    3,    5,    4.0,   "fast"),
    CompoundRow("d1",    "b1",      640,   88,     4,    3,    5,    4.0,   "fast"),
    CompoundRow("d2",    "b2",      768,  112,     5,    3,    5,    4.0,   "fast"),
    CompoundRow("d3",    "b3",      896,  160,     6,    4,    5,    4.0,   "fast"),
    CompoundRow("d4",    "b4",     1024,  224,     7,    4,    5,    4.0,   "fast"),
    CompoundRow("d5",    "b5",     1280,  288,     7,    4,    5,    4.0,   "fast"),
    CompoundRow("d6",    "b6",     1280,  384,     8,    5,    5,    4.0,   "sum"),
    CompoundRow("d7",    "b6",     1536,  384,     8,    5,    5,    5.0,   "sum"),
    CompoundRow("d7x",   "b7",     1536,  384,     8,    5,    6,    4.0,   "sum"),
    CompoundRow("lite0", "lite0",   320,   64,     3,    3,    5,    3.0,   "sum"),
    CompoundRow("lite1", "lite1",   384,   88,     4,    3,    5,    3.0,   "sum"),
    CompoundRow("lite2", "lite2",   448,  112,     5,    3,    5,    3.0,   "sum"),
    CompoundRow("lite3", "lite3",   512,  160,     6,    4,    5,    4.0,   "sum"),
    CompoundRow("lite3x", "lite3",  640,  200,     6,    4,    5,    3.0,   "sum"),
    CompoundRow("lite4", "lite4",   640,  224,     7,    4,    5,    4.0,   "sum"),
)
# fmt: on

IMAGENET = InputSpec(
    resize_mode="corner",
    pad_value=(124, 116, 104),
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
LITE = InputSpec(resize_mode="corner", pad_value=127, mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
ADVPROP = InputSpec(resize_mode="corner", pad_value=128, mean=(0.5,) * 3, std=(0.5,) * 3)

OCTAVES = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))
RATIOS = ((1.0, 1.0), (1.4, 0.7), (0.7, 1.4))  # width and height, as a share of the side


def anchor_boxes(stride: int, scale: float) -> tuple[Anchor, ...]:
    """The nine anchors of a level: three octaves, three aspect ratios each.

    Args:
        stride: input pixels per cell.
        scale: side of the smallest square anchor, in cells.
    """
    sides = [scale * stride * octave for octave in OCTAVES]
    return tuple((side * width, side * height) for side in sides for width, height in RATIOS)


def efficientnet(name: str) -> BackboneSpec:
    """EfficientNet without its classifier; the lite ones have no squeeze-and-excitation."""
    backbone, lite = BACKBONES[name], name.startswith("lite")
    settings = zip(backbone.channels, backbone.depths, STRIDES, KERNELS, EXPANSIONS, strict=True)
    return BackboneSpec(
        kind="staged",
        stem_channels=backbone.stem,
        stem_stride=2,
        activation="relu6" if lite else "swish",
        same_padding=True,
        stages=tuple(
            StageSpec(
                kind="mbconv",
                channels=channels,
                depth=depth,
                stride=stride,
                kernel=kernel,
                expand=expand,
                squeeze=0 if lite else 0.25,
            )
            for channels, depth, stride, kernel, expand in settings
        ),
    )


def efficientdet(row: CompoundRow) -> ModelSpec:
    """The whole model of a row, with the padding and the biases of the TensorFlow original."""
    lite = row.name.startswith("lite")
    activation = "relu6" if lite else "swish"
    strides = tuple(8 << level for level in range(row.levels))
    return ModelSpec(
        name=f"efficientdet-{row.name}",
        image_size=row.image_size,
        num_classes=90,
        input=LITE if lite else IMAGENET,
        norm_eps=1e-3,
        backbone=efficientnet(row.backbone),
        neck=NeckSpec(
            kind="bifpn",
            channels=(row.channels,) * row.levels,
            depth=row.cells,
            activation=activation,
            fusion=row.fusion,
            redundant_bias=True,
            same_padding=True,
        ),
        head=HeadSpec(
            kind="efficientdet",
            anchors=tuple(anchor_boxes(stride, row.anchor_scale) for stride in strides),
            box_coding="offset",
            activation=activation,
            depth=row.head_depth,
            redundant_bias=True,
        ),
    )


def as_pytorch(spec: ModelSpec) -> ModelSpec:
    """The same variant as PyTorch would have it: symmetric padding, no redundant biases."""
    return spec.replace(
        name=f"{spec.name}-pt",
        backbone=spec.backbone.replace(same_padding=False, norm_eps=1e-5),
        neck=spec.neck.replace(redundant_bias=False, same_padding=False),
        head=spec.head.replace(redundant_bias=False),
    )


def as_advprop(spec: ModelSpec) -> ModelSpec:
    """The same variant as trained with AdvProp, which scales images to −1…1."""
    return spec.replace(name=f"{spec.name}-ap", input=ADVPROP)


_SPECS = tuple(efficientdet(row) for row in TABLE)
VARIANTS = (
    *_SPECS,
    *(as_pytorch(spec) for spec in _SPECS[:4]),
    *(as_advprop(spec) for spec in _SPECS[:6]),
)
