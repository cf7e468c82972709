"""The YOLO head: raw predictions per cell and anchor, and their decoding.

Papers: YOLOv3, https://arxiv.org/abs/1804.02767; Scaled-YOLOv4, https://arxiv.org/abs/2011.08036.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..blocks import ConvNormAct
from ..errors import InvalidSpec
from ..specs import HeadSpec
from ..specs.level import Level
from ..specs.settings import refuse_settings
from ..structures import Candidates

BOX_CODINGS = ("exponential", "sigmoid")


class YoloHead(nn.Module):
    """A 3×3 convolution, then one 1×1 that says everything about every anchor of every cell.

    Shape: per level (N, C, H, W) → (N, A · (5 + K), H, W); for each anchor x, y, width, height,
    objectness, then one channel a class, all before their activation.

    Raises:
        InvalidSpec: boxes are coded otherwise, or a setting is of another head.
    """

    def __init__(
        self, in_channels: Sequence[int], strides: Sequence[int], spec: HeadSpec, num_classes: int
    ) -> None:
        super().__init__()
        if spec.box_coding not in BOX_CODINGS:
            raise InvalidSpec(
                spec.kind, f"box_coding is {spec.box_coding!r}", "Use 'exponential' or 'sigmoid'"
            )
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
            nn.Conv2d(width, len(anchors) * (5 + num_classes), 1)
            for width, anchors in zip(spec.channels or in_channels, spec.anchors, strict=True)
        )
        for predict, anchors, stride in zip(self.predict, spec.anchors, strides, strict=True):
            if isinstance(predict, nn.Conv2d):
                _start_from_prior(predict, len(anchors), stride)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        levels = zip(self.predict, self.hidden, features, strict=True)
        return [predict(hidden(x)) for predict, hidden, x in levels]

    def decode(self, raw: Sequence[Tensor], image_size: tuple[int, int]) -> Candidates:
        """Raw predictions → boxes and scores.

        Args:
            raw: what `forward` returned.
            image_size: (height, width) of the images that it saw.
        """
        levels = zip(self.levels, raw, strict=True)
        return join_levels([decode_level(values, level, image_size) for level, values in levels])


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
        values[:, 4] += math.log(8 / (640 / stride) ** 2)
        values[:, 5:] += math.log(0.6 / (values.shape[1] - 5 - 0.99))


def join_levels(levels: Sequence[Candidates]) -> Candidates:
    """The candidates of all levels in one list, in the order given."""
    return Candidates(
        torch.cat([level.boxes for level in levels], dim=1),
        torch.cat([level.scores for level in levels], dim=1),
    )


def decode_level(raw: Tensor, level: Level, image_size: tuple[int, int]) -> Candidates:
    """Raw predictions of one level → boxes and scores.

    Args:
        raw: (N, A · (5 + K), H, W), before any activation.
        level: how to read them. Box coding `exponential`: size = anchor · exp(t); `sigmoid`: size =
            anchor · (2σ(t))². `scale_xy` is s in centre = cell + s · σ(t) − (s − 1) / 2.
        image_size: (height, width) of the network's input.

    Returns:
        boxes (N, A · H · W, 4), scores (N, A · H · W, K) = objectness · class, float32; ordered by
        anchor, then row, then column.
    """
    images, channels, rows, columns = raw.shape
    values = raw.float().view(
        images, len(level.anchors), channels // len(level.anchors), rows, columns
    )

    height, width = image_size
    cell = raw.new_tensor([width / columns, height / rows], dtype=torch.float32)
    corner = torch.stack(
        torch.meshgrid(
            torch.arange(columns, dtype=torch.float32, device=raw.device),
            torch.arange(rows, dtype=torch.float32, device=raw.device),
            indexing="xy",
        )
    )
    sigma = _unchanged if level.activated else torch.sigmoid
    offset = level.scale_xy * sigma(values[:, :, 0:2]) - (level.scale_xy - 1) / 2
    centre = (corner + offset) * cell[:, None, None]

    anchor = raw.new_tensor(level.anchors, dtype=torch.float32)[:, :, None, None]
    if level.box_coding == "sigmoid":
        size = anchor * (2 * sigma(values[:, :, 2:4])).square()
    else:
        size = anchor * values[:, :, 2:4].exp()

    boxes = torch.cat([centre - size / 2, centre + size / 2], dim=2)
    classes = values[:, :, 5:]
    classes = classes.softmax(dim=2) if level.class_activation == "softmax" else sigma(classes)
    scores = sigma(values[:, :, 4:5]) * classes
    return Candidates(_one_row_a_box(boxes), _one_row_a_box(scores))


def _unchanged(values: Tensor) -> Tensor:
    return values


def _one_row_a_box(values: Tensor) -> Tensor:
    """(N, A, V, H, W) → (N, A · H · W, V)."""
    return values.permute(0, 1, 3, 4, 2).flatten(1, 3)
