"""The layers of a `.cfg` that are no convolution: one function for each kind."""

from collections.abc import Callable
from fractions import Fraction

from torch import nn

from ..blocks import ACTIVATIONS
from .cfg import Section
from .graph import (
    Shape,
    activation_of,
    check_same_size,
    check_shape,
    check_weights,
    strides_of,
    windows,
)
from .layers import (
    Activation,
    ChannelMaxPool,
    DarknetDropBlock,
    LegacyReorg,
    LocalAveragePool,
    MaxPool,
    Multiply,
    Route,
    Shortcut,
    SpaceToDepth,
    Upsample,
    WeightedShortcut,
)

NAMES = frozenset(ACTIVATIONS)
NORMALIZATIONS = {"none": "none", "relu": "relu", "avg_relu": "relu", "softmax": "softmax"}

Built = tuple[nn.Module, Shape]


def _route(section: Section, shapes: tuple[Shape, ...], _: int) -> Built:
    check_same_size(section, shapes)
    groups = section.integer("groups", 1, low=1)
    group = section.integer("group_id", 0, high=groups - 1)
    for shape in shapes:
        if shape.channels % groups:
            raise section.error(
                f"groups={groups} does not divide {shape.channels} channels",
                "Use a divisor",
                option="groups",
            )
    channels = sum(shape.channels // groups for shape in shapes)
    first = shapes[0]
    made = Shape(channels, first.height, first.width, first.stride)
    module = nn.Identity() if len(shapes) == groups == 1 else Route(groups, group)
    return module, check_shape(section, made)


def _shortcut(section: Section, shapes: tuple[Shape, ...], left: int) -> Built:
    check_same_size(section, shapes)
    activation = activation_of(section, "linear", NAMES)
    kind = section.word("weights_type", "none")
    normalization = section.word("weights_normalization", "none")
    if normalization not in NORMALIZATIONS:
        raise section.error(
            f"weights_normalization={normalization} is unknown",
            f"Use one of {', '.join(NORMALIZATIONS)}",
            option="weights_normalization",
        )
    channels = {"per_feature": 1, "per_layer": 1, "per_channel": shapes[0].channels}
    if kind == "none":
        return Shortcut(activation), shapes[0]
    if kind not in channels:
        raise section.error(
            f"weights_type={kind} is unknown",
            f"Use one of none, {', '.join(channels)}",
            option="weights_type",
        )
    check_weights(section, len(shapes) * channels[kind], left)
    module = WeightedShortcut(
        len(shapes),
        channels[kind],
        normalization=NORMALIZATIONS[normalization],
        activation=activation,
    )
    return module, shapes[0]


def _sam(section: Section, shapes: tuple[Shape, ...], _: int) -> Built:
    mask, features = shapes
    if (mask.channels, mask.size) != (features.channels, features.size):
        raise section.error(
            f"the mask is {mask}, the features {features}",
            "Use a mask of the features' shape",
            option="from",
        )
    return Multiply(activation_of(section, "linear", NAMES)), features


def _scale_channels(section: Section, shapes: tuple[Shape, ...], _: int) -> Built:
    mask, features = shapes
    spatial = section.flag("scale_wh")
    expected = (1, features.size) if spatial else (features.channels, (1, 1))
    if (mask.channels, mask.size) != expected:
        channels, (height, width) = expected
        raise section.error(
            f"the scale is {mask}, the features {features}",
            f"Make the scale {channels}×{height}×{width}",
            option="from",
        )
    return Multiply(activation_of(section, "linear", NAMES)), features


def pool_window(section: Section) -> tuple[int, tuple[int, int], int]:
    """Side, strides (vertical, horizontal) and total padding of a pooling layer."""
    strides = strides_of(section, 1)
    size = section.integer("size", section.integer("stride", 1, low=1), low=1, high=1024)
    padding = section.integer("padding", size - 1, high=2048)
    if padding - padding // 2 > size - 1:
        raise section.error(
            f"padding={padding} puts whole windows of size={size} outside the map",
            f"Use at most {2 * (size - 1)}",
            option="padding",
        )
    return size, strides, padding


def _pooled(section: Section, shape: Shape) -> Shape:
    size, strides, padding = pool_window(section)
    height, width = (
        windows(section, length, size=size, padding=padding, stride=stride)
        for length, stride in zip(shape.size, strides, strict=True)
    )
    return check_shape(section, shape.scaled(shape.channels, height, width, strides))


def _maxpool(section: Section, shapes: tuple[Shape, ...], _: int) -> Built:
    (shape,) = shapes
    if not section.flag("maxpool_depth"):
        return MaxPool(*pool_window(section)), _pooled(section, shape)
    out_channels = section.integer("out_channels", 1, low=1)
    if shape.channels % out_channels:
        raise section.error(
            f"out_channels={out_channels} does not divide {shape.channels} channels",
            "Use a divisor",
            option="out_channels",
        )
    return ChannelMaxPool(out_channels), shape.scaled(out_channels, *shape.size, (1, 1))


def _local_avgpool(section: Section, shapes: tuple[Shape, ...], _: int) -> Built:
    return LocalAveragePool(*pool_window(section)), _pooled(section, shapes[0])


def _avgpool(_section: Section, shapes: tuple[Shape, ...], _: int) -> Built:
    (shape,) = shapes
    return nn.AdaptiveAvgPool2d(1), shape.scaled(shape.channels, 1, 1, shape.size)


def _upsample(section: Section, shapes: tuple[Shape, ...], _: int) -> Built:
    (shape,) = shapes
    stride = section.integer("stride", 2, low=1, high=64)  # negative: not supported
    by = Fraction(1, stride)
    made = Shape(
        shape.channels,
        shape.height * stride,
        shape.width * stride,
        (shape.stride[0] * by, shape.stride[1] * by),
    )
    return Upsample(stride, section.number("scale", 1.0)), check_shape(section, made)


def _to_depth(section: Section, shape: Shape) -> tuple[int, Shape]:
    stride = section.integer("stride", 1, low=1, high=64)
    if shape.height % stride or shape.width % stride:
        raise section.error(
            f"stride={stride} does not divide its {shape.height}×{shape.width} input",
            "Use a width and height in [net] that make it fit",
            option="stride",
        )
    channels, height, width = (
        shape.channels * stride**2,
        shape.height // stride,
        shape.width // stride,
    )
    made = shape.scaled(channels, height, width, (stride, stride))
    return stride, check_shape(section, made)


def _reorg3d(section: Section, shapes: tuple[Shape, ...], _: int) -> Built:
    stride, made = _to_depth(section, shapes[0])
    return SpaceToDepth(stride), made


def _reorg(section: Section, shapes: tuple[Shape, ...], _: int) -> Built:
    (shape,) = shapes
    stride, made = _to_depth(section, shape)
    if shape.channels % stride**2:
        raise section.error(
            f"{shape.channels} channels are no multiple of stride² = {stride**2}",
            "Use as many filters in front of it",
            option="stride",
        )
    return LegacyReorg(stride), made


def _dropout(section: Section, shapes: tuple[Shape, ...], _: int) -> Built:
    probability = section.number("probability", 0.2, low=0, high=1)
    if not section.flag("dropblock"):
        return nn.Dropout(probability), shapes[0]
    relative = section.number("dropblock_size_rel", 0, low=0, high=1)
    size = section.integer("dropblock_size_abs", 0)
    block = DarknetDropBlock(probability, size=size if size or relative else 7, relative=relative)
    return block, shapes[0]


def _activation(section: Section, shapes: tuple[Shape, ...], _: int) -> Built:
    return Activation(activation_of(section, "linear", NAMES)), shapes[0]


def _unchanged(_section: Section, shapes: tuple[Shape, ...], _: int) -> Built:
    return nn.Identity(), shapes[0]


# Every layer but `[convolutional]`: build(section, shapes of what it reads, weights left to the
# network) → module and shape of what it makes.
LAYERS: dict[str, Callable[[Section, tuple[Shape, ...], int], Built]] = {
    "activation": _activation,
    "avgpool": _avgpool,
    "dropout": _dropout,
    "empty": _unchanged,
    "local_avgpool": _local_avgpool,
    "maxpool": _maxpool,
    "region": _unchanged,
    "reorg": _reorg,
    "reorg3d": _reorg3d,
    "route": _route,
    "sam": _sam,
    "scale_channels": _scale_channels,
    "shortcut": _shortcut,
    "upsample": _upsample,
    "yolo": _unchanged,
}
