"""What a model is, as frozen, self-checking data that travels as JSON."""

from collections.abc import Sequence
from itertools import accumulate
from operator import mul
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AliasChoices,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from ..errors import InvalidSpec
from .frozen import Byte, Frozen, Positive, Ratio, Size
from .level import Anchor, Level
from .nms import NmsSpec
from .sizes import SizeRule

# Version 0.1 called two fields otherwise: read under both names, written so `by_alias` alone.
FIT = Field(validation_alias=AliasChoices("resize_mode", "fit"), serialization_alias="fit")
FILL = Field(validation_alias=AliasChoices("pad_value", "fill"), serialization_alias="fill")


class InputSpec(Frozen):
    """What happens to an RGB image before the network sees it.

    Args:
        resize_mode: `letterbox` keeps the aspect ratio and pads both sides; `corner` keeps it too,
            and pads to the right and below; `stretch` does not keep it.
        pad_value: colour of the padding, 0 to 255; one value or red, green, blue.
        mean, std: what is subtracted from red, green, blue scaled to 0–1, and what the rest is
            divided by.
    """

    resize_mode: Annotated[Literal["letterbox", "corner", "stretch"], FIT] = "letterbox"
    pad_value: Annotated[Byte | tuple[Byte, Byte, Byte], FILL] = 128
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[Ratio, Ratio, Ratio] = (1.0, 1.0, 1.0)


class StageSpec(Frozen):
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
        kernel: side of the depthwise convolutions.
        expand: width inside a block, as a multiple of its input.
        squeeze: width between squeeze and excitation, as a share of the block's input; 0 for none.
    """

    kind: str
    channels: Positive
    depth: Positive
    stride: Positive = 2
    partial: Ratio | None = None
    bottleneck: Ratio | None = None
    groups: Positive | None = None
    split_activation: str | None = None
    kernel: Positive | None = None
    expand: Ratio | None = None
    squeeze: Annotated[float, Field(ge=0)] | None = None

    @property
    def settings(self) -> dict[str, float | str]:
        """The settings that were given, by name."""
        shape = {"kind", "channels", "depth", "stride"}
        return self.model_dump(exclude=shape, exclude_none=True)


class BackboneSpec(Frozen):
    """From image to features: a stem, then stages; or, of kind `timm`, a network of that library.

    The deepest stage at each stride is a feature; the coarsest `outputs` of them are passed on.

    Args:
        kind: a name in `scantling.backbones.BACKBONES`.
        name: in timm, of kind `timm`, which has neither a stem nor stages here.
        feature_strides: input pixels per cell of each feature that is passed on, finest first, of
            kind `timm`; `scantling.backbones.timm_backbone` fills it in.
        stem_channels, stem_kernel, stem_stride: of the first convolution.
        stages: finest first.
        stem_pool: whether a max-pool of stride 2 follows the stem.
        activation: of every convolution.
        outputs: how many features.
        same_padding: pad strided convolutions as TensorFlow does, the odd pixel right and below.
        norm_eps: of the normalisation, where it differs from the model's.
    """

    kind: str
    name: Annotated[str, Field(max_length=100)] | None = None
    feature_strides: Annotated[tuple[Positive, ...], Field(max_length=8)] = ()
    stem_channels: Annotated[int, Field(ge=0)] = 0
    stages: tuple[StageSpec, ...] = ()
    stem_kernel: Positive = 3
    stem_stride: Positive = 1
    stem_pool: bool = False
    activation: str = "mish"
    outputs: Positive = 3
    same_padding: bool = False
    norm_eps: Ratio | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind == "timm":
            _check_named_backbone(self)
        elif not self.stem_channels or not self.stages or self.name or self.feature_strides:
            raise InvalidSpec(
                f"a {self.kind} backbone",
                "it needs stem_channels and stages, and has neither name nor feature_strides",
                'Those belong to kind="timm"',
            )
        return self

    @property
    def finest_stride(self) -> int:
        """Input pixels per cell of the finest feature that is passed on."""
        return (self.feature_strides or self.strides[self.out_indices[0] :])[0]

    @property
    def strides(self) -> tuple[int, ...]:
        """Input pixels per cell of each stage."""
        steps = (stage.stride for stage in self.stages)
        return tuple(accumulate(steps, mul, initial=self.stem_stride * (1 + self.stem_pool)))[1:]

    @property
    def out_indices(self) -> tuple[int, ...]:
        """Which stages are passed on: the last of each stride, finest first."""
        last = {stride: index for index, stride in enumerate(self.strides)}
        return tuple(last.values())[-self.outputs :]


class NeckSpec(Frozen):
    """From features to fused features, one width per level, finest first.

    Args:
        kind: a name in `scantling.necks.NECKS`.
        channels: width of each level.
        depth: blocks in each fusion; of a pyramid, how often its graph is repeated.
        activation: of every convolution.
        spp_depth: pairs of convolutions after spatial pyramid pooling; None for the kind's own.
        spp_lead: pairs of them in front of it, after the first; None for the kind's own.
        context: a name in `scantling.blocks.CONTEXTS`: what the coarsest features go through; None
            for the kind's own.
        attention: a name in `scantling.blocks.ATTENTIONS`: what stands in front of each output.
        joint_norm: normalise both branches of a CSP block together, after their concatenation, as
            the Scaled-YOLOv4 PyTorch checkpoints do and darknet's networks do not.
        fusion: a name in `scantling.blocks.FUSIONS`: how a node of a pyramid adds up its inputs.
        redundant_bias: give convolutions in front of a normalisation a bias, as TensorFlow's
            EfficientDet has.
        same_padding: pad max-pools as TensorFlow does, the odd pixel right and below.
        outputs: how many levels the head sees, the finest; None for all. What only the others
            need is not built; see `scantling.scaling.subnetwork`.
    """

    kind: str
    channels: Annotated[tuple[Positive, ...], Field(min_length=1, max_length=16)]
    depth: Positive = 2
    activation: str = "mish"
    spp_depth: Annotated[int, Field(ge=0)] | None = None
    context: str | None = None
    attention: str | None = None
    joint_norm: bool = False
    fusion: str | None = None
    redundant_bias: bool = False
    same_padding: bool = False
    spp_lead: Annotated[int, Field(ge=0)] | None = None
    outputs: Positive | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        levels = len(self.channels)
        if self.outputs is not None and self.outputs >= levels:
            raise InvalidSpec(
                self.kind, f"{self.outputs} outputs of {levels} levels", "Leave outputs out for all"
            )
        return self

    @model_serializer(mode="wrap")
    def _serialise(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the settings that came later, where they say nothing: files stay as they were."""
        fields: dict[str, Any] = handler(self)
        return {
            name: value
            for name, value in fields.items()
            if value is not None or name not in ("spp_lead", "outputs")
        }

    @property
    def levels(self) -> int:
        """How many levels the head sees."""
        return self.outputs or len(self.channels)


class HeadSpec(Frozen):
    """From fused features to raw predictions, per level, finest first.

    Args:
        kind: a name in `scantling.heads.HEADS`.
        channels: width of the 3×3 before the last convolution of each level; None for no 3×3.
        anchors: boxes per level as (width, height) in pixels of the network's input.
        box_coding: how a head codes boxes, one of those that its kind knows: `exponential` (YOLOv3:
            exp of width and height) or `sigmoid` (Scaled-YOLOv4: (2σ)²); `offset` (EfficientDet:
            centre and log size relative to the anchor).
        scale_xy: how far a box centre may leave its cell, per level (darknet's `scale_x_y`); empty
            where the box coding has no cells, and any image size will do.
        activation: of the hidden convolutions.
        depth: hidden convolutions, shared between the levels.
        redundant_bias: as in the neck.
    """

    kind: str
    channels: tuple[Positive, ...] | None = None
    anchors: tuple[tuple[Anchor, ...], ...]
    box_coding: Annotated[str, Field(min_length=1, max_length=64)]
    scale_xy: tuple[Annotated[float, Field(ge=1)], ...] = ()
    activation: str = "mish"
    depth: Positive = 1
    redundant_bias: bool = False

    def levels_at(self, strides: Sequence[int]) -> tuple[Level, ...]:
        """How the raw predictions of each level are read.

        Args:
            strides: input pixels per cell of each level, finest first.
        """
        scales = self.scale_xy or (1.0,) * len(strides)
        return tuple(
            Level(stride=stride, anchors=anchors, box_coding=self.box_coding, scale_xy=scale)
            for stride, anchors, scale in zip(strides, self.anchors, scales, strict=True)
        )


class ModelSpec(Frozen):
    """One detector variant. Derive another with `spec.replace(…)`; nothing is mutated.

    Args:
        norm: how features are normalised: over the batch, or by their filter response (FRN), which
            stands in for the activation too.
        nms: what its detections are chosen by, if the user says nothing.
    """

    file_kind: ClassVar[Literal["model"]] = "model"  # what files call this description

    name: str
    image_size: Size
    backbone: BackboneSpec
    neck: NeckSpec
    head: HeadSpec
    num_classes: Positive = 80
    input: InputSpec = InputSpec()
    norm_eps: Ratio = 1e-5
    norm: Literal["batch", "frn"] = "batch"
    nms: NmsSpec = NmsSpec()

    @model_validator(mode="after")
    def _check(self) -> Self:
        levels = self.neck.levels
        per_level = {
            "groups of anchors": len(self.head.anchors),
            "channels": levels if self.head.channels is None else len(self.head.channels),
            "values of scale_xy": len(self.head.scale_xy) or levels,
        }
        for what, count in per_level.items():
            if count != levels:
                raise InvalidSpec(
                    self.name,
                    f"the neck has {levels} levels but the head has {count} {what}",
                    "Give one per level, finest first",
                )
        if self.backbone.stages and len(self.backbone.out_indices) < self.backbone.outputs:
            raise InvalidSpec(
                self.name,
                f"{self.backbone.outputs} outputs, but the stages have "
                f"{len(self.backbone.out_indices)} strides",
                "Lower backbone.outputs or add stages",
            )
        self.sizes.check(self.name, self.image_size)
        return self

    @property
    def strides(self) -> tuple[int, ...]:
        """Input pixels per cell at each neck level, finest first: (8, 16, 32)."""
        finest = self.backbone.finest_stride
        return tuple(finest << level for level in range(self.neck.levels))

    @property
    def head_kind(self) -> str:
        """A name in `scantling.heads.HEADS`."""
        return self.head.kind

    @property
    def levels(self) -> tuple[Level, ...]:
        """How the raw predictions of each level are read, finest first."""
        return self.head.levels_at(self.strides)

    @property
    def sizes(self) -> SizeRule:
        """Which image sizes it takes: boxes in cells need whole cells, others take any."""
        return SizeRule(self.strides[-1] if self.head.scale_xy else 1, self.size_step)

    @property
    def size_step(self) -> int:
        """Coarsest stride of the neck, of dropped levels too: each map is half the one before."""
        return self.backbone.finest_stride << (len(self.neck.channels) - 1)


class CfgSpec(Frozen):
    """A network that a darknet `.cfg` describes; the text is the description.

    Its `nms` is `nms_kind` and `beta_nms` of the last `[yolo]`, which darknet itself goes by.
    """

    file_kind: ClassVar[Literal["cfg"]] = "cfg"

    name: str
    cfg: str
    image_size: Size
    num_classes: Positive
    input: InputSpec = InputSpec(resize_mode="stretch")
    nms: NmsSpec = NmsSpec()

    @property
    def head_kind(self) -> str:
        """A name in `scantling.heads.HEADS`: detection layers are read as a YOLO head is."""
        return "yolo"


def _check_named_backbone(spec: BackboneSpec) -> None:
    """A network of another library: a name, and strides that double from level to level."""
    strides = spec.feature_strides
    doubling = strides == tuple(strides[0] << level for level in range(len(strides)))
    fits = doubling and len(strides) == spec.outputs
    if not spec.name or not fits or spec.stem_channels or spec.stages:
        raise InvalidSpec(
            spec.name or "a timm backbone",
            f"kind timm with name {spec.name!r}, {spec.outputs} outputs and strides {strides}",
            "Give a name and one stride per output, each twice the one before, "
            "as scantling.backbones.timm_backbone(name) does; no stem and no stages",
        )
