"""What a model is, as frozen, self-checking data that travels as JSON."""

from math import prod
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ..errors import InvalidSpec

Positive = Annotated[int, Field(gt=0)]
Ratio = Annotated[float, Field(gt=0)]
Anchor = tuple[float, float]  # (width, height) in pixels of the network's input


def _square(size: object) -> object:
    """A single side stands for a square."""
    return (size, size) if isinstance(size, int) else size


Size = Annotated[tuple[Positive, Positive], BeforeValidator(_square)]  # (height, width)


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, checked as a new one is."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self)(**{**fields, **changes})


class InputSpec(_Spec):
    """What happens to an RGB image before the network sees it.

    `letterbox` keeps the aspect ratio and pads both sides with `fill`; `stretch` does not.
    """

    fit: Literal["letterbox", "stretch"] = "letterbox"
    fill: Annotated[int, Field(ge=0, le=255)] = 128


class StageSpec(_Spec):
    """A run of blocks at one stride. Settings left at None keep the default of their kind.

    Args:
        kind: a name in `scantling.blocks.STAGES`.
        channels: width of the output.
        depth: number of blocks.
        stride: how much smaller the output is than the input.
        partial: width of each cross-stage branch, as a share of `channels`.
        bottleneck: width inside a block, as a share of the branch.
        groups: groups of the 3×3 convolutions.
        split_activation: activation of the convolutions that split the stage in two.
    """

    kind: str
    channels: Positive
    depth: Positive
    stride: Positive = 2
    partial: Ratio | None = None
    bottleneck: Ratio | None = None
    groups: Positive | None = None
    split_activation: str | None = None

    @property
    def settings(self) -> dict[str, float | str]:
        """The settings that were given, by name."""
        shape = {"kind", "channels", "depth", "stride"}
        return self.model_dump(exclude=shape, exclude_none=True)


class BackboneSpec(_Spec):
    """From image to features: a stem, then stages; the last `outputs` of them are passed on."""

    kind: str
    stem_channels: Positive
    stages: Annotated[tuple[StageSpec, ...], Field(min_length=1)]
    stem_kernel: Positive = 3
    stem_stride: Positive = 1
    stem_pool: bool = False  # a max-pool of stride 2 after the stem
    activation: str = "mish"
    outputs: Positive = 3

    @property
    def stride(self) -> int:
        """Input pixels per cell of the deepest stage."""
        pool = 2 if self.stem_pool else 1
        return self.stem_stride * pool * prod(stage.stride for stage in self.stages)


class NeckSpec(_Spec):
    """From features to fused features, one width per level, finest first.

    Args:
        kind: a name in `scantling.necks.NECKS`.
        channels: width of each level.
        depth: blocks in each fusion.
        activation: of every convolution.
        spp_depth: pairs of convolutions after spatial pyramid pooling; None for the kind's own.
        attention: `sam` puts spatial attention in front of each output.
        joint_norm: normalise both branches of a CSP block together, after their concatenation, as
            the Scaled-YOLOv4 PyTorch checkpoints do and darknet's networks do not.
    """

    kind: str
    channels: Annotated[tuple[Positive, ...], Field(min_length=1)]
    depth: Positive = 2
    activation: str = "mish"
    spp_depth: Annotated[int, Field(ge=0)] | None = None
    attention: Literal["sam"] | None = None
    joint_norm: bool = False


class HeadSpec(_Spec):
    """From fused features to raw predictions, per level, finest first.

    Args:
        kind: a name in `scantling.heads.HEADS`.
        channels: width of the 3×3 before the last convolution of each level; None for no 3×3.
        anchors: boxes per level as (width, height) in pixels of the network's input.
        box_coding: `exponential` (YOLOv3: exp of width and height) or `sigmoid` (Scaled-YOLOv4:
            (2σ)²).
        scale_xy: how far a box centre may leave its cell, per level (darknet's `scale_x_y`).
        activation: of the hidden convolution.
    """

    kind: str
    channels: tuple[Positive, ...] | None = None
    anchors: tuple[tuple[Anchor, ...], ...]
    box_coding: Literal["exponential", "sigmoid"]
    scale_xy: tuple[Annotated[float, Field(ge=1)], ...]
    activation: str = "mish"


class ModelSpec(_Spec):
    """One detector variant. Derive another with `spec.replace(…)`; nothing is mutated."""

    name: str
    image_size: Size
    backbone: BackboneSpec
    neck: NeckSpec
    head: HeadSpec
    num_classes: Positive = 80
    input: InputSpec = InputSpec()
    norm_eps: Ratio = 1e-5

    @model_validator(mode="after")
    def _check(self) -> Self:
        levels = len(self.neck.channels)
        per_level = {
            "groups of anchors": len(self.head.anchors),
            "channels": levels if self.head.channels is None else len(self.head.channels),
            "values of scale_xy": len(self.head.scale_xy),
        }
        for what, count in per_level.items():
            if count != levels:
                raise InvalidSpec(
                    self.name,
                    f"the neck has {levels} levels but the head has {count} {what}",
                    "Give one per level, finest first",
                )
        if len(self.backbone.stages) < self.backbone.outputs:
            raise InvalidSpec(
                self.name,
                f"{self.backbone.outputs} outputs from {len(self.backbone.stages)} stages",
                "Lower backbone.outputs or add stages",
            )
        check_image_size(self.name, self.image_size, self.strides[-1])
        return self

    @property
    def strides(self) -> tuple[int, ...]:
        """Input pixels per cell at each neck level, finest first: (8, 16, 32)."""
        finest = self.backbone.stride
        for stage in self.backbone.stages[len(self.backbone.stages) - self.backbone.outputs + 1 :]:
            finest //= stage.stride
        return tuple(finest << level for level in range(len(self.neck.channels)))


class CfgSpec(_Spec):
    """A network that a darknet `.cfg` describes; the text is the description."""

    name: str
    cfg: str
    image_size: Size
    num_classes: Positive
    input: InputSpec = InputSpec(fit="stretch")


def check_image_size(model: str, image_size: tuple[int, int], stride: int) -> None:
    """Refuse a side that the coarsest stride does not divide.

    Raises:
        InvalidSpec: names the side and the nearest that fits.
    """
    for side, what in zip(image_size, ("height", "width"), strict=True):
        if side % stride:
            raise InvalidSpec(
                model,
                f"image {what} {side} is not a multiple of the coarsest stride {stride}",
                f"Use {max(1, round(side / stride)) * stride}",
            )
