"""The EfficientDet head: two small networks, shared by all levels, one for classes, one for boxes.

Paper: EfficientDet, https://arxiv.org/abs/1911.09070; focal loss and its prior,
https://arxiv.org/abs/1708.02002.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..blocks import SeparableConv, SharedSeparable
from ..errors import InvalidSpec
from ..specs import HeadSpec
from ..specs.frozen import refuse_settings
from ..structures import Candidates
from .base import ClassRows
from .efficientdet_decoding import decode_efficientdet
from .efficientdet_export import EfficientDetDecoder

PRIOR = 0.01  # share of anchors that hold an object, before anything is learned


class EfficientDetHead(nn.Module):
    """Classes and boxes for every anchor of every cell.

    Shape: per level (N, C, H, W) → first per level (N, A · K, H, W) class logits, then per level
    (N, A · 4, H, W) boxes as y, x, height, width relative to the anchor.

    Raises:
        InvalidSpec: the levels differ in width or in their number of anchors, or a setting is of
            another head.
    """

    def __init__(
        self, in_channels: Sequence[int], strides: Sequence[int], spec: HeadSpec, num_classes: int
    ) -> None:
        super().__init__()
        _check(spec, in_channels)
        self.spec = spec
        self.levels = spec.levels_at(strides)
        self.num_classes = num_classes
        anchors = len(spec.anchors[0])
        self.classes = SharedNet(in_channels[0], anchors * num_classes, len(in_channels), spec)
        self.boxes = SharedNet(in_channels[0], anchors * 4, len(in_channels), spec)
        if self.classes.predict.pointwise.bias is not None:
            nn.init.constant_(self.classes.predict.pointwise.bias, math.log(PRIOR / (1 - PRIOR)))
        if self.boxes.predict.pointwise.bias is not None:
            nn.init.zeros_(self.boxes.predict.pointwise.bias)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        classes: list[Tensor] = self.classes(features)
        boxes: list[Tensor] = self.boxes(features)
        return classes + boxes

    def class_rows(self) -> tuple[ClassRows, ...]:
        """The last convolution of the class network, which all levels share."""
        return (ClassRows(self.classes.predict.pointwise, len(self.levels[0].anchors), 0),)

    def decode(self, raw: Sequence[Tensor], image_size: tuple[int, int]) -> Candidates:
        """Raw predictions → boxes and scores, for images of (height, width) `image_size`."""
        return decode_efficientdet(raw, self.levels, image_size)

    @torch.no_grad()
    def export_decoder(
        self, image_size: tuple[int, int] | None, cells: Sequence[tuple[int, int]]
    ) -> nn.Module:
        """The same decoding inside an exported graph.

        The last convolution of the boxes is changed to predict x, y, width, height in place of
        y, x, height, width: the decoder then needs no reordering.
        """
        predict = self.boxes.predict.pointwise
        for tensor in (predict.weight, predict.bias):
            if tensor is not None:
                rows = tensor.reshape(-1, 4, *tensor.shape[1:])[:, [1, 0, 3, 2]]
                tensor.copy_(rows.reshape(tensor.shape))
        return EfficientDetDecoder(self.levels, self.num_classes, image_size, cells)


class SharedNet(nn.Module):
    """`spec.depth` separable convolutions and a last one, the same for all levels.

    Shape: per level (N, C, H, W) → (N, outputs, H, W).
    """

    def __init__(self, channels: int, outputs: int, levels: int, spec: HeadSpec) -> None:
        super().__init__()
        self.hidden = nn.ModuleList(
            SharedSeparable(channels, levels, bias=spec.redundant_bias, activation=spec.activation)
            for _ in range(spec.depth)
        )
        self.predict = SeparableConv(channels, outputs)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        return [self._one(x, level) for level, x in enumerate(features)]

    def _one(self, x: Tensor, level: int) -> Tensor:
        for hidden in self.hidden:
            x = hidden(x, level)
        predicted: Tensor = self.predict(x)
        return predicted


def _check(spec: HeadSpec, in_channels: Sequence[int]) -> None:
    """Refuse what networks that all levels share cannot serve."""
    refuse_settings(spec, "channels", "scale_xy")
    if len(set(in_channels)) > 1:
        raise InvalidSpec(
            spec.kind,
            f"all levels share this head, but their channels are {tuple(in_channels)}",
            "Give every neck level the same channels",
        )
    if len({len(group) for group in spec.anchors}) > 1:
        counts = [len(group) for group in spec.anchors]
        raise InvalidSpec(
            spec.kind,
            f"all levels share this head, but they have {counts} anchors",
            "Give every level as many anchors",
        )
