"""Random batches for the tests of losses."""

import torch

from scantling.specs.level import Level
from scantling.structures import Targets

SIZE = (96, 128)  # (height, width): not square, so that the two cannot be confused


def level_at(anchors, stride, box_coding, scale_xy=1.0):
    return Level(anchors=anchors, stride=stride, box_coding=box_coding, scale_xy=scale_xy)


def yolo_levels(coding, scale_xy, *, strides=(16, 32)):
    """Levels with two anchors each; the second level shares one with the first."""
    anchors = (((12.0, 16.0), (30.0, 25.0)), ((30.0, 25.0), (60.0, 70.0)), ((70, 80), (100, 90)))
    return [
        level_at(group, stride, coding, scale_xy)
        for group, stride in zip(anchors, strides, strict=False)
    ]


def random_targets(seed, *, images=2, most=5, classes=3, size=SIZE, crowded=False):
    """Objects in pixels, ordered by image; crowded ones share few cells and shapes."""
    rng = torch.Generator().manual_seed(seed)
    count = int(torch.randint(0, most + 1, (1,), generator=rng)) * images
    extent = torch.tensor([size[1], size[0]], dtype=torch.float32)
    if crowded:
        centre = (torch.rand(count, 2, generator=rng) * 0.15 + 0.4) * extent
        sides = torch.rand(count, 2, generator=rng) * 20 + 15
    else:
        centre = (torch.rand(count, 2, generator=rng) * 0.98 + 0.01) * extent
        sides = torch.rand(count, 2, generator=rng) ** 2 * 80 + 6
    image = torch.randint(0, images, (count,), generator=rng).sort().values
    labels = torch.randint(0, classes, (count,), generator=rng)
    return Targets(torch.cat([centre - sides / 2, centre + sides / 2], 1), labels, image)


def random_raw(seed, levels, *, images=2, classes=3, size=SIZE, spread=1.0, dtype=torch.float32):
    """Raw predictions, ready for gradients."""
    rng = torch.Generator().manual_seed(seed + 1000)
    raw = []
    for level in levels:
        shape = (
            images,
            len(level.anchors) * (5 + classes),
            size[0] // level.stride,
            size[1] // level.stride,
        )
        raw.append((torch.randn(shape, generator=rng) * spread).to(dtype).requires_grad_())
    return raw


def as_truths(targets, images, size=SIZE):
    """Per image a list of ((centre x, centre y, width, height) in shares, label)."""
    truths = [[] for _ in range(images)]
    for box, label, image in zip(
        targets.boxes.double().tolist(),
        targets.labels.tolist(),
        targets.image_index.tolist(),
        strict=True,
    ):
        left, top, right, bottom = box
        truths[image].append(
            (
                (
                    (left + right) / 2 / size[1],
                    (top + bottom) / 2 / size[0],
                    (right - left) / size[1],
                    (bottom - top) / size[0],
                ),
                label,
            )
        )
    return truths


def in_anchors(raw, levels):
    """Per level (N, A, 5 + K, H, W) float64 arrays."""
    return [
        values.detach()
        .double()
        .view(len(values), len(level.anchors), -1, *values.shape[-2:])
        .numpy()
        for values, level in zip(raw, levels, strict=True)
    ]


def as_dicts(levels):
    return [
        {"anchors": level.anchors, "box_coding": level.box_coding, "scale_xy": level.scale_xy}
        for level in levels
    ]
