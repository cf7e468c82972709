"""The detector: the one place where specs meet modules."""

from collections.abc import Sequence

from torch import Tensor, nn

from .backbones import BACKBONES
from .blocks import use_filter_response
from .errors import InvalidSpec, lookup
from .heads import HEADS, ClassRows, Head
from .necks import NECKS
from .specs import ModelSpec
from .specs.sizes import SizeRule
from .structures import Candidates


class Detector(nn.Module):
    """Backbone → neck → head. Training and evaluation return the same type.

    Attributes:
        levels: how the raw predictions of each level are read, finest first.
        strides: input pixels per cell of each level, finest first.
        sizes: which image sizes it takes.
        drop: what features go through, in front of the neck and of the head: nothing, unless a
            training run says otherwise.
    """

    head: Head

    def __init__(
        self, backbone: nn.Module, neck: nn.Module, head: Head, *, sizes: SizeRule
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.head = head
        self.levels = head.levels
        self.strides = tuple(level.stride for level in head.levels)
        self.sizes = sizes
        self.drop: nn.Module = nn.Identity()

    def forward(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) images scaled to 0–1 → raw predictions per level, finest first."""
        features = [self.drop(level) for level in self.backbone(images)]
        return self.head([self.drop(level) for level in self.neck(features)])

    def decode(self, raw: Sequence[Tensor], image_size: tuple[int, int]) -> Candidates:
        """Raw predictions → boxes and scores.

        Args:
            raw: what `forward` returned.
            image_size: (height, width) of the images that it saw.
        """
        return self.head.decode(raw, image_size)

    def class_rows(self) -> tuple[ClassRows, ...]:
        """The convolutions that predict classes."""
        return self.head.class_rows()

    def export_decoder(
        self, image_size: tuple[int, int] | None, cells: Sequence[tuple[int, int]]
    ) -> nn.Module:
        """A module that decodes inside an exported graph; see `Head`."""
        return self.head.export_decoder(image_size, cells)


def build_detector(spec: ModelSpec) -> Detector:
    """Build a freshly initialised network from its description.

    Raises:
        UnknownName: the spec names a part that does not exist.
        InvalidSpec: the head has no such box coding, or a part refuses a setting.
    """
    kind = lookup(HEADS, spec.head.kind, "head")
    if spec.head.box_coding not in kind.box_codings:
        raise InvalidSpec(
            spec.name,
            f"box_coding of its head is {spec.head.box_coding!r}",
            f"Use {' or '.join(map(repr, kind.box_codings))}",
        )
    backbone = lookup(BACKBONES, spec.backbone.kind, "backbone")(spec.backbone)
    neck = lookup(NECKS, spec.neck.kind, "neck")(backbone.channels, spec.neck)
    head = kind.build(neck.channels, spec.strides, spec.head, spec.num_classes)
    detector = Detector(backbone, neck, head, sizes=spec.sizes)
    own = spec.norm_eps if spec.backbone.name is None else None  # else its library's
    for name, part in detector.named_children():
        eps = spec.backbone.norm_eps or own if name == "backbone" else spec.norm_eps
        if eps is not None:
            _set_norm_eps(part, eps)
    if spec.norm == "frn":
        use_filter_response(detector)
    return detector


def _set_norm_eps(part: nn.Module, eps: float) -> None:
    """What is added to the variance in every normalisation of `part`."""
    for module in part.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = eps
