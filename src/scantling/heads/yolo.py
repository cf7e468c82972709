"""The YOLO head: raw predictions for every anchor of every cell.

Papers: YOLOv3, https://arxiv.org/abs/1804.02767; Scaled-YOLOv4, https://arxiv.org/abs/2011.08036.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..blocks import ConvNormAct
from ..errors import InvalidSpec
from ..specs import HeadSpec
from ..specs.frozen import refuse_settings
from ..structures import Candidates
from .base import ClassRows
from .yolo_decoding import BOX_VALUES, OBJECTNESS, decode_yolo
from .yolo_export import YoloDecoder


class YoloHead(nn.Module):
    """A 3×3 convolution per level, then a 1×1 that predicts boxes, objectness and classes.

    Shape: per level (N, C, H, W) → (N, A · (5 + K), H, W); for each anchor x, y, width, height,
    objectness, then one channel a class, all before their activation.

    Raises:
        InvalidSpec: `scale_xy` is empty, or a setting is of another head.
    """

    def __init__(
        self, in_channels: Sequence[int], strides: Sequence[int], spec: HeadSpec, num_classes: int
    ) -> None:
        super().__init__()
        if not spec.scale_xy:
            raise InvalidSpec(
                spec.kind, "its boxes are in cells, but scale_xy is empty", "Give one per level"
            )
        refuse_settings(spec, "depth", "redundant_bias")
        self.spec = spec
        self.levels = spec.levels_at(strides)
        self.hidden = nn.ModuleList(
            nn.Identity()
            if spec.channels is None
            else ConvNormAct(before, spec.channels[level], kernel=3, activation=spec.activation)
            for level, before in enumerate(in_channels)
        )
        self.predict = nn.ModuleList(
            nn.Conv2d(width, len(anchors) * (BOX_VALUES + num_classes), 1)
            for width, anchors in zip(spec.channels or in_channels, spec.anchors, strict=True)
        )
        for predict, anchors, stride in zip(self.predict, spec.anchors, strides, strict=True):
            if isinstance(predict, nn.Conv2d):
                _start_from_prior(predict, len(anchors), stride)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        levels = zip(self.predict, self.hidden, features, strict=True)
        return [predict(hidden(x)) for predict, hidden, x in levels]

    def class_rows(self) -> tuple[ClassRows, ...]:
        """The last convolution of each level."""
        return tuple(
            ClassRows(predict, len(level.anchors), BOX_VALUES)
            for predict, level in zip(self.predict, self.levels, strict=True)
            if isinstance(predict, nn.Conv2d)
        )

    def decode(self, raw: Sequence[Tensor], image_size: tuple[int, int]) -> Candidates:
        """Raw predictions → boxes and scores, for images of (height, width) `image_size`."""
        return decode_yolo(raw, self.levels, image_size)

    def export_decoder(
        self, image_size: tuple[int, int] | None, cells: Sequence[tuple[int, int]]
    ) -> nn.Module:
        """The same decoding inside an exported graph."""
        return YoloDecoder(self.levels, image_size, cells)


@torch.no_grad()
def _start_from_prior(predict: nn.Conv2d, anchors: int, stride: int) -> None:
    """Begin with few objects: about 8 in 640 × 640 pixels, each of some class or other.

    Args:
        predict: the last convolution, with A · (5 + K) outputs.
        anchors: A.
        stride: input pixels per cell.
    """
    if predict.bias is not None:
        values = predict.bias.view(anchors, -1)
        values[:, OBJECTNESS] += math.log(8 / (640 / stride) ** 2)
        classes = values[:, BOX_VALUES:]
        classes += math.log(0.6 / (classes.shape[1] - 0.99))
