"""Backbones of a stem and a sequence of stages: CSPDarknet, EfficientNet and their kin."""

from torch import Tensor, nn

from ..blocks import STAGES, ConvNormAct
from ..errors import InvalidSpec, lookup
from ..specs import BackboneSpec, StageSpec


class StagedBackbone(nn.Module):
    """A stem followed by stages; the last stage of each stride gives a feature map.

    Shape: (N, 3, H, W) → per output (N, C, H / stride, W / stride), finest first.

    Attributes:
        channels: width of each output.
    """

    def __init__(self, spec: BackboneSpec) -> None:
        super().__init__()
        self.stem = ConvNormAct(
            3,
            spec.stem_channels,
            kernel=spec.stem_kernel,
            stride=spec.stem_stride,
            activation=spec.activation,
            same_padding=spec.same_padding,
        )
        self.pool = nn.MaxPool2d(2, 2, ceil_mode=True) if spec.stem_pool else nn.Identity()
        widths = [spec.stem_channels, *(stage.channels for stage in spec.stages)]
        self.stages = nn.ModuleList(
            _build_stage(stage, width, spec)
            for stage, width in zip(spec.stages, widths[:-1], strict=True)
        )
        self.out_indices = spec.out_indices
        self.channels = tuple(
            int(self.stages[index].feature_channels)  # type: ignore[arg-type]
            for index in self.out_indices
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        x = self.pool(self.stem(images))
        features: list[Tensor] = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in self.out_indices:
                channels = self.channels[len(features)]
                features.append(x if x.shape[1] == channels else x[:, -channels:])
        return features


def _build_stage(spec: StageSpec, in_channels: int, backbone: BackboneSpec) -> nn.Module:
    stage = lookup(STAGES, spec.kind, "stage")
    padding = {"same_padding": True} if backbone.same_padding else {}
    try:
        return stage(
            in_channels,
            spec.channels,
            spec.depth,
            stride=spec.stride,
            activation=backbone.activation,
            **padding,
            **spec.settings,
        )
    except TypeError as error:
        raise InvalidSpec(
            spec.kind, f"a stage of this kind cannot take {spec.settings}: {error}", "Leave it out"
        ) from error
