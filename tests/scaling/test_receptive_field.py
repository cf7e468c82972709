"""Receptive fields as they are traced equal those measured by the gradient of one output cell."""

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scantling.blocks import SamePad, SpatialPyramidPool, SqueezeExcite
from scantling.checkpoints.model import build_network
from scantling.darknet import build_cfg_network, read_cfg
from scantling.darknet.layers import SpaceToDepth
from scantling.scaling.costs import ReceptiveField, ReceptiveField1D, trace_module
from scantling.specs import CATALOG


class MeanPool(nn.Module):
    """A max-pool's windows, every value of which has a gradient."""

    def __init__(self, pool: nn.MaxPool2d) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        size, stride, padding = (
            value if isinstance(value, tuple) else (value, value)
            for value in (self.pool.kernel_size, self.pool.stride, self.pool.padding)
        )
        top, left = padding
        room = (left, size[1] + stride[1], top, size[0] + stride[0])
        wide = F.avg_pool2d(F.pad(x.clamp(min=0), room), size, stride)
        like = F.max_pool2d(x, size, stride, padding, ceil_mode=self.pool.ceil_mode)
        return wide[:, :, : like.shape[2], : like.shape[3]]


def prepare(module: nn.Module) -> nn.Module:
    """All weights alike and above 0, so that every path has a gradient; in double precision."""
    for name, child in list(module.named_children()):
        if isinstance(child, nn.MaxPool2d):
            setattr(module, name, MeanPool(child))
        else:
            prepare(child)
    if isinstance(module, nn.Conv2d):
        nn.init.constant_(module.weight, 1 / module.weight[0].numel())
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    return module.eval().double()


def measured(output: Tensor, image: Tensor, row: int, column: int) -> tuple[int, int]:
    """(height, width) of the box of all pixels that one output cell depends on."""
    (slope,) = torch.autograd.grad(output[0, :, row, column].sum(), image, retain_graph=True)
    touched = slope[0].abs().sum(0) > 0
    rows, columns = touched.any(1).nonzero(), touched.any(0).nonzero()
    return int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1


def largest(output: Tensor, image: Tensor) -> tuple[int, int]:
    """The largest of the cells in the middle, whose fields the borders do not cut."""
    rows, columns = output.shape[2] // 2, output.shape[3] // 2
    around = [(rows + step, columns + step) for step in (0, 1)]  # every one of a period of two
    sizes = [measured(output, image, row, column) for row, column in around]
    return max(size[0] for size in sizes), max(size[1] for size in sizes)


def check(module: nn.Module, image_size: tuple[int, int], channels: int = 3) -> None:
    """The last layer that made each output has the field that its gradients have."""
    image = torch.rand(1, channels, *image_size, dtype=torch.float64, requires_grad=True)
    outputs = prepare(module)(image)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    with torch.device("meta"):
        traced = trace_module(module.to("meta"), torch.zeros(1, channels, *image_size).double())
    made = {layer.shape: layer.receptive_field for layer in traced.layers}
    for output in outputs:
        assert made[tuple(output.shape)] == largest(output, image)


class Everything(nn.Module):
    """Strides, dilation, uneven kernels and padding, a pyramid of pools, slices, two paths."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, (5, 3), stride=(2, 1), padding=(2, 1))
        self.dilated = nn.Conv2d(8, 8, 3, padding=2, dilation=2)
        self.same = nn.Sequential(SamePad(3, 2), nn.Conv2d(8, 8, 3, stride=2))
        self.pools = SpatialPyramidPool()
        self.lower = nn.Conv2d(32, 8, 3, stride=2, padding=1)
        self.last = nn.Conv2d(16, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pools(self.same(self.dilated(self.stem(x))))
        deep = F.interpolate(self.lower(x), scale_factor=2.0, mode="nearest")
        return self.last(torch.cat([deep, x[:, :8]], dim=1))


class Focus(nn.Module):
    """Places moved to channels: by slices, and by reshaping."""

    def __init__(self) -> None:
        super().__init__()
        self.space = SpaceToDepth(2)
        self.conv = nn.Conv2d(48, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        four = [x[..., row::2, column::2] for row in (0, 1) for column in (0, 1)]
        return self.conv(self.space(torch.cat(four, dim=1)))


@pytest.mark.parametrize("module", [Everything, Focus])
def test_field_equals_the_one_measured_by_gradients(module: type[nn.Module]):
    check(module(), (192, 160))


def test_field_of_a_published_network_equals_the_one_measured_by_gradients():
    tiny = CATALOG["yolov4-tiny"]
    backbone = tiny.backbone.replace(
        stages=tuple(one.replace(channels=one.channels // 16) for one in tiny.backbone.stages)
    )
    neck = tiny.neck.replace(channels=tuple(width // 16 for width in tiny.neck.channels))
    spec = tiny.replace(backbone=backbone, neck=neck, image_size=(448, 480))
    check(build_network(spec), (448, 480))


def test_field_of_a_cfg_equals_the_one_measured_by_gradients(assets: Path):
    spec = read_cfg(assets / "cfg" / "yolov3-tiny.cfg").replace(image_size=(384, 416))
    # the same network, a sixteenth as wide: all but the last convolutions, of 255
    thin = re.sub(
        r"filters=(\d*[02468])\b", lambda found: f"filters={int(found[1]) // 16}", spec.cfg
    )
    check(build_cfg_network(spec.replace(cfg=thin)), (384, 416))


def test_a_kernel_adds_one_less_than_its_side_and_a_stage_doubles_the_rest():
    """Scaled-YOLOv4, table 6."""
    field = ReceptiveField().windows((3, 3), stride=(2, 2), before=(1, 1))
    assert field.size == (3, 3)
    deeper = field.windows((3, 3), stride=(1, 1), before=(1, 1))
    assert deeper.size == (3 + 2 * 2, 3 + 2 * 2)
    assert deeper.windows((3, 3), stride=(2, 2), before=(1, 1)).stride == (4.0, 4.0)


def test_cells_between_two_of_a_coarser_map_read_different_pixels():
    reach = ReceptiveField1D().windows(2, stride=2).repeated(2).windows(3, before=1)
    # cells 1 and 2 of the fine map lie in two of the coarse one, as all three around each do
    assert [reach.at(cell) for cell in (2, 3)] == [(0, 3), (2, 5)]
    assert reach.size == 4
    assert reach.stride == 1


def test_a_gate_that_sees_the_whole_image_does_not_hide_the_field():
    module = nn.Sequential(nn.Conv2d(3, 8, 3), SqueezeExcite(8, 2), nn.Conv2d(8, 8, 3)).eval()
    image = torch.rand(1, 3, 32, 32)
    *_, last = trace_module(module, image).layers
    assert (last.receptive_field, last.sees_all) == ((5, 5), True)
    image.requires_grad_()
    assert measured(module(image), image, 14, 14) == (32, 32)
