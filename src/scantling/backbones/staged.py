"""A backbone that is a stem and a row of stages: every darknet-like network is one."""

from torch import Tensor, nn

from ..blocks import STAGES, ConvNormAct
from ..errors import InvalidSpec, lookup
from ..specs import BackboneSpec, StageSpec


class StagedBackbone(nn.Module):
    """A strided or pooled stem, then stages; the last `spec.outputs` of them are the features.

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
        )
        self.pool = nn.MaxPool2d(2, 2, ceil_mode=True) if spec.stem_pool else nn.Identity()
        widths = [spec.stem_channels, *(stage.channels for stage in spec.stages)]
        self.stages = nn.ModuleList(
            _build_stage(stage, width, spec.activation)
            for stage, width in zip(spec.stages, widths[:-1], strict=True)
        )
        self.outputs = spec.outputs
        self.channels = tuple(
            int(stage.feature_channels)  # type: ignore[arg-type]
            for stage in self.stages[-spec.outputs :]
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        x = self.pool(self.stem(images))
        features: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        last = features[-self.outputs :]
        return [x[:, -width:] for x, width in zip(last, self.channels, strict=True)]


def _build_stage(spec: StageSpec, in_channels: int, activation: str) -> nn.Module:
    stage = lookup(STAGES, spec.kind, "stage")
    try:
        return stage(
            in_channels,
            spec.channels,
            spec.depth,
            stride=spec.stride,
            activation=activation,
            **spec.settings,
        )
    except TypeError as error:
        raise InvalidSpec(
            spec.kind, f"a stage of this kind cannot take {spec.settings}: {error}", "Leave it out"
        ) from error
