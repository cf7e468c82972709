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
from ..specs.settings import refuse_settings
from ..structures import Candidates

PRIOR = 0.01  # share of anchors that hold an object, before anything is learned


class EfficientDetHead(nn.Module):
    """Classes and boxes for every anchor of every cell.

    Shape: per level (N, C, H, W) → first per level (N, A · K, H, W) class logits, then per level
    (N, A · 4, H, W) boxes as y, x, height, width relative to the anchor.

    Raises:
        InvalidSpec: the levels differ in width or in their number of anchors, the boxes are
            coded otherwise, or a setting is of another head.
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

    def decode(self, raw: Sequence[Tensor], image_size: tuple[int, int]) -> Candidates:
        """Raw predictions → boxes and scores.

        Args:
            raw: what `forward` returned.
            image_size: (height, width) of the images that it saw.
        """
        levels = len(self.spec.anchors)
        logits = [_one_row_an_anchor(level, self.num_classes) for level in raw[:levels]]
        offsets = [_one_row_an_anchor(level, 4) for level in raw[levels:]]
        anchors = [
            cell_anchors(maps, level.anchors, image_size, stride=level.stride)
            for maps, level in zip(raw[levels:], self.levels, strict=True)
        ]
        boxes = decode_offsets(torch.cat(offsets, dim=1), torch.cat(anchors))
        return Candidates(boxes, torch.cat(logits, dim=1).sigmoid())


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


def cell_anchors(
    raw: Tensor,
    anchors: Sequence[tuple[float, float]],
    image_size: tuple[int, int],
    *,
    stride: int,
) -> Tensor:
    """The anchors of one level, around the middle of every cell.

    Args:
        raw: (N, …, H, W) of the level, for its size and device.
        anchors: A × (width, height) in pixels of the network's input.
        image_size: (height, width) of the network's input.
        stride: input pixels per cell that the anchors are for. Where it does not divide the image,
            cells are smaller, and the anchors shrink with them.

    Returns:
        (H · W · A, 4) float32: centre x, centre y, width, height; by row, then column, then anchor.
    """
    rows, columns = raw.shape[-2:]
    height, width = image_size[0] / rows, image_size[1] / columns
    y = (torch.arange(rows, device=raw.device) + 0.5) * height
    x = (torch.arange(columns, device=raw.device) + 0.5) * width
    centres = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)[:, :, None]
    cell = torch.tensor([width / stride, height / stride], device=raw.device)
    sizes = torch.tensor(anchors, dtype=torch.float32, device=raw.device) * cell
    shape = (rows, columns, len(anchors), 2)
    return torch.cat([centres.expand(shape), sizes.expand(shape)], dim=-1).flatten(0, 2)


def decode_offsets(offsets: Tensor, anchors: Tensor) -> Tensor:
    """Boxes from their offsets to anchors.

    Args:
        offsets: (N, P, 4) y and x in anchor sizes, then log of height and width over the anchor's.
        anchors: (P, 4) centre x, centre y, width, height.

    Returns:
        (N, P, 4) xyxy float32, in the unit of the anchors.
    """
    offsets = offsets.float()
    centres = anchors[:, :2] + offsets[..., [1, 0]] * anchors[:, 2:]
    halves = offsets[..., [3, 2]].exp() * anchors[:, 2:] / 2
    return torch.cat([centres - halves, centres + halves], dim=-1)


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
    if spec.box_coding != "offset":
        raise InvalidSpec(
            spec.kind,
            f"box_coding is {spec.box_coding!r}",
            "Use 'offset', the only one that this head has",
        )


def _one_row_an_anchor(level: Tensor, values: int) -> Tensor:
    """(N, A · values, H, W) → (N, H · W · A, values), by row, then column, then anchor."""
    return level.permute(0, 2, 3, 1).reshape(level.shape[0], -1, values).float()
