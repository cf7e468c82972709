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
from ..specs.settings import refuse_settings
from ..structures import Candidates


class YoloHead(nn.Module):
    """A 3×3 convolution, then one 1×1 that says everything about every anchor of every cell.

    Shape: per level (N, C, H, W) → (N, A · (5 + K), H, W); for each anchor x, y, width, height,
    objectness, then one channel a class, all before their activation.

    Raises:
        InvalidSpec: boxes are coded as offsets to anchors, or a setting is of another head.
    """

    def __init__(
        self, in_channels: Sequence[int], strides: Sequence[int], spec: HeadSpec, num_classes: int
    ) -> None:
        super().__init__()
        if spec.box_coding == "offset":
            raise InvalidSpec(
                spec.kind,
                "box_coding 'offset' says nothing of the cell that a box is in",
                "Use 'exponential' or 'sigmoid'",
            )
        refuse_settings(spec, "depth", "redundant_bias")
        self.spec = spec
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
        levels = [
            decode_level(
                level, anchors, image_size, box_coding=self.spec.box_coding, scale_xy=scale
            )
            for level, anchors, scale in zip(
                raw, self.spec.anchors, self.spec.scale_xy, strict=True
            )
        ]
        return join_levels(levels)


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


def decode_level(
    raw: Tensor,
    anchors: Sequence[tuple[float, float]],
    image_size: tuple[int, int],
    *,
    box_coding: str,
    scale_xy: float = 1.0,
    activated: bool = False,
    class_activation: str = "sigmoid",
) -> Candidates:
    """Raw predictions of one level → boxes and scores.

    Args:
        raw: (N, A · (5 + K), H, W), before any activation.
        anchors: A × (width, height) in pixels of the network's input.
        image_size: (height, width) of the network's input.
        box_coding: `exponential`: size = anchor · exp(t). `sigmoid`: size = anchor · (2σ(t))².
        scale_xy: s in centre = cell + s · σ(t) − (s − 1) / 2.
        activated: `raw` is to be taken as it is, without any σ.
        class_activation: `sigmoid`, or `softmax` over the classes (YOLOv2).

    Returns:
        boxes (N, A · H · W, 4), scores (N, A · H · W, K) = objectness · class, float32; ordered by
        anchor, then row, then column.
    """
    images, channels, rows, columns = raw.shape
    values = raw.float().view(images, len(anchors), channels // len(anchors), rows, columns)

    height, width = image_size
    cell = raw.new_tensor([width / columns, height / rows], dtype=torch.float32)
    corner = torch.stack(
        torch.meshgrid(
            torch.arange(columns, dtype=torch.float32, device=raw.device),
            torch.arange(rows, dtype=torch.float32, device=raw.device),
            indexing="xy",
        )
    )
    sigma = _unchanged if activated else torch.sigmoid
    offset = scale_xy * sigma(values[:, :, 0:2]) - (scale_xy - 1) / 2
    centre = (corner + offset) * cell[:, None, None]

    anchor = raw.new_tensor(anchors, dtype=torch.float32)[:, :, None, None]
    if box_coding == "sigmoid":
        size = anchor * (2 * sigma(values[:, :, 2:4])).square()
    else:
        size = anchor * values[:, :, 2:4].exp()

    boxes = torch.cat([centre - size / 2, centre + size / 2], dim=2)
    classes = values[:, :, 5:]
    classes = classes.softmax(dim=2) if class_activation == "softmax" else sigma(classes)
    scores = sigma(values[:, :, 4:5]) * classes
    return Candidates(_one_row_a_box(boxes), _one_row_a_box(scores))


def _unchanged(values: Tensor) -> Tensor:
    return values


def _one_row_a_box(values: Tensor) -> Tensor:
    """(N, A, V, H, W) → (N, A · H · W, V)."""
    return values.permute(0, 1, 3, 4, 2).flatten(1, 3)
