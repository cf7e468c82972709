"""`[convolutional]`: from its section to a module, weights of its own or shared."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from ..blocks import ACTIVATIONS, ConvNormAct
from ..errors import InvalidValue
from .cfg import Section
from .graph import Shape, activation_of, check_shape, check_weights, strides_of, windows

NAMES = frozenset(ACTIVATIONS)


@dataclass(frozen=True)
class _Settings:
    filters: int
    size: int
    strides: tuple[int, int]
    padding: int
    dilation: int
    groups: int
    norm: bool
    activation: str


def build_convolution(
    section: Section, shape: Shape, *, logits: bool, left: int
) -> tuple[nn.Module, Shape]:
    """A convolution with norm and activation, as far as it has them, and the map it makes.

    Args:
        section: a `[convolutional]`.
        shape: of what it reads.
        logits: leave out the logistic activation.
        left: how many weights the network may still have.

    Raises:
        InvalidCfg: an option does not fit, or is not supported.
    """
    settings = _read(section, shape, logits=logits)
    made = _shape_after(section, shape, settings)
    kernel_weights = shape.channels // settings.groups * settings.size**2
    check_weights(section, settings.filters * (kernel_weights + 4), left)
    return _module(shape.channels, settings), made


def share_weights(
    section: Section, index: int, module: nn.Module, earlier: Mapping[int, nn.Module]
) -> None:
    """Let `module` use the weights and norm of the layer that `share_index` names.

    Raises:
        InvalidCfg: there is no such convolution, or it has other weights.
    """
    given = section.integer("share_index", 0, low=-index, high=index - 1)
    owner = earlier.get(index + given if given < 0 else given)
    if owner is None:
        raise section.error(
            f"share_index={given} names no convolution in front of this one",
            "Name one by its index",
            option="share_index",
        )
    mine, other = _conv_of(module), _conv_of(owner)
    norms = {isinstance(part, ConvNormAct) for part in (module, owner)}
    if mine.weight.shape != other.weight.shape or len(norms) > 1:
        raise section.error(
            f"the weights of layer {given} are {tuple(other.weight.shape)}, this layer's "
            f"{tuple(mine.weight.shape)}",
            "Share with a convolution of the same filters, size, groups and batch_normalize",
            option="share_index",
        )
    mine.weight, mine.bias = other.weight, other.bias
    if isinstance(module, ConvNormAct) and isinstance(owner, ConvNormAct):
        module.norm = owner.norm


def _module(in_channels: int, settings: _Settings) -> nn.Module:
    padding = settings.padding * settings.dilation
    if settings.norm:
        return ConvNormAct(
            in_channels,
            settings.filters,
            kernel=settings.size,
            stride=settings.strides,
            padding=padding,
            dilation=settings.dilation,
            groups=settings.groups,
            activation=settings.activation,
        )
    plain = nn.Conv2d(
        in_channels,
        settings.filters,
        settings.size,
        settings.strides,
        padding,
        dilation=settings.dilation,
        groups=settings.groups,
    )
    if settings.activation == "linear":
        return plain
    return nn.Sequential(plain, ACTIVATIONS[settings.activation]())


def _conv_of(module: nn.Module) -> nn.Conv2d:
    return next(part for part in module.modules() if isinstance(part, nn.Conv2d))


def convolution_window(section: Section) -> tuple[int, tuple[int, int], int]:
    """Side, strides (vertical, horizontal) and total padding of a `[convolutional]`."""
    size = section.integer("size", 1, low=1, high=255)
    padding = size // 2 if section.flag("pad") else section.integer("padding", 0, high=255)
    return size, strides_of(section, 1), 2 * padding


def _read(section: Section, shape: Shape, *, logits: bool) -> _Settings:
    size, strides, padding = convolution_window(section)
    activation = activation_of(section, "logistic", NAMES)
    settings = _Settings(
        filters=section.integer("filters", 1, low=1),
        size=size,
        strides=strides,
        padding=padding // 2,
        dilation=1 if size == 1 else section.integer("dilation", 1, low=1, high=255),
        groups=section.integer("groups", 1, low=1),
        norm=section.flag("batch_normalize") or section.flag("cbn"),
        activation="linear" if logits else activation,
    )
    for count, what in ((shape.channels, "input channels"), (settings.filters, "filters")):
        if count % settings.groups:
            raise section.error(
                f"groups={settings.groups} does not divide its {count} {what}",
                "Use a divisor of both",
                option="groups",
            )
    if settings.dilation > 1 and 2 * settings.padding != size - 1:
        raise section.error(
            f"dilation={settings.dilation} is not supported with size={size} and "
            f"padding={settings.padding}",
            "Use an odd size with pad=1",
            option="dilation",
        )
    return settings


def _shape_after(section: Section, shape: Shape, settings: _Settings) -> Shape:
    height, width = (
        windows(section, length, size=settings.size, padding=2 * settings.padding, stride=stride)
        for length, stride in zip(shape.size, settings.strides, strict=True)
    )
    return check_shape(section, shape.scaled(settings.filters, height, width, settings.strides))


def conv_tensors(module: nn.Module) -> list[Tensor]:
    """What darknet stores of one convolution: nothing for any other module.

    Raises:
        InvalidValue: its normalisation was folded into it; what darknet stores is lost.
    """
    if isinstance(module, ConvNormAct):
        norm = module.norm
        if not isinstance(norm, nn.BatchNorm2d):
            raise InvalidValue("network", "fused", "one whose norms were not folded (fuse_norms)")
        stored = [norm.bias, norm.weight, norm.running_mean, norm.running_var, module.conv.weight]
        return [tensor for tensor in stored if tensor is not None]
    if isinstance(module, nn.Conv2d) and module.bias is not None:
        return [module.bias, module.weight]
    return []
