"""Maps brought to another level: which pixels are pooled, which are repeated, by hand."""

import math

import pytest
import torch
from torch import nn

from scantling.blocks import Resample


def build(halvings: int, *, same_padding: bool = False, channels: int = 1) -> Resample:
    return Resample(1, channels, halvings=halvings, bias=True, same_padding=same_padding)


@pytest.mark.parametrize(
    ("same_padding", "side", "expected"),
    [
        (False, 6, [1, 3, 5]),  # windows −1…1, 1…3, 3…5
        (True, 6, [2, 4, 5]),  # windows 0…2, 2…4, 4…6
        (False, 5, [1, 3, 4]),
        (True, 5, [1, 3, 4]),  # two pixels to pad: the same on both sides
    ],
)
def test_pooling_takes_the_largest_of_each_window(same_padding, side, expected):
    row = torch.arange(float(side)).expand(1, 1, side, side)
    pooled = build(1, same_padding=same_padding)(row)
    assert pooled[0, 0, 0].tolist() == expected


def test_upsampling_repeats_the_nearest_up_to_an_odd_size():
    row = torch.arange(4.0).expand(1, 1, 3, 4)
    raised = build(-1)(row, (5, 7))
    assert raised.shape == (1, 1, 5, 7)
    assert raised[0, 0, 0].tolist() == [0, 0, 1, 1, 2, 2, 3]


@pytest.mark.parametrize("same_padding", [False, True])
@pytest.mark.parametrize("size", [(13, 9), (8, 8), (1, 2)])
@pytest.mark.parametrize("halvings", [1, 2, 4])
def test_every_halving_rounds_up(halvings: int, size: tuple[int, int], same_padding: bool):
    pooled = build(halvings, same_padding=same_padding)(torch.zeros(1, 1, *size))
    assert pooled.shape[-2:] == tuple(math.ceil(side / 2**halvings) for side in size)


def test_only_another_width_needs_a_convolution():
    assert isinstance(build(1).conv, nn.Identity)
    assert build(1, channels=3).eval()(torch.zeros(1, 1, 4, 4)).shape == (1, 3, 2, 2)
