"""Every fusion adds up what the paper says, by hand."""

import math

import pytest
import torch
from torch import nn

from scantling.blocks import FUSIONS

E, E3 = math.exp(1), math.exp(3)
MAPS = (2.0, 10.0)  # of both channels
# Weights (1, 3); where each channel has its own, (1, 3) and (2, −1).
EXPECTED = {
    "channel-fast": ((2 * 1 + 10 * 3) / 4.0001, 2 * 2 / 2.0001),
    "channel-softmax": (
        (2 * E + 10 * E3) / (E + E3),
        (2 * math.exp(2) + 10 / E) / (math.exp(2) + 1 / E),
    ),
    "fast": ((2 * 1 + 10 * 3) / 4.0001,) * 2,
    "global-attention": (2 + 10 / (1 + math.exp(-2)),) * 2,
    "maxout": (10.0, 10.0),
    "softmax": ((2 * E + 10 * E3) / (E + E3),) * 2,
    "sum": (12.0, 12.0),
    "unbounded": (32.0, 32.0),
}


def build(name: str) -> nn.Module:
    """A fusion of two maps of two channels, with the weights above."""
    fusion = FUSIONS[name](2, 2)
    for weights in fusion.parameters():
        own = torch.tensor([[1.0, 2.0], [3.0, -1.0]]).view(2, 2, 1, 1)
        weights.data.copy_(own if weights.ndim == 4 else torch.tensor([1.0, 3.0]))
    return fusion


def maps() -> list[torch.Tensor]:
    return [torch.full((1, 2, 1, 3), value) for value in MAPS]


@pytest.mark.parametrize("name", FUSIONS)
def test_every_fusion_adds_up_by_hand(name: str):
    expected = torch.tensor(EXPECTED[name]).view(1, 2, 1, 1).expand(1, 2, 1, 3)
    torch.testing.assert_close(build(name)(maps()), expected)


@pytest.mark.parametrize("name", FUSIONS)
def test_every_fusion_begins_with_equal_shares(name: str):
    fused = FUSIONS[name](2, 2)(maps())
    mean = 12.0 if name in {"sum", "unbounded"} else 6.0
    mean = EXPECTED[name][0] if name in {"global-attention", "maxout"} else mean  # no weights
    torch.testing.assert_close(fused, torch.full((1, 2, 1, 3), mean), rtol=1e-4, atol=0)


def test_fast_fusion_leaves_out_a_map_of_negative_weight():
    fusion = FUSIONS["fast"](2, 2)
    fusion.weights.data.copy_(torch.tensor([-5.0, 2.0]))
    torch.testing.assert_close(fusion(maps()), torch.full((1, 2, 1, 3), 20 / 2.0001))


@pytest.mark.parametrize("name", FUSIONS)
def test_every_fusion_of_one_map_is_a_map_of_its_own(name: str):
    alone = torch.ones(1, 2, 1, 3)
    fused = FUSIONS[name](1, 2)([alone])
    torch.testing.assert_close(fused, alone, rtol=1e-3, atol=0)
    assert fused.data_ptr() != alone.data_ptr()


@pytest.mark.parametrize("name", FUSIONS)
def test_every_fusion_passes_gradients_to_weights_and_maps(name: str):
    fusion = FUSIONS[name](3, 4)
    inputs = [torch.randn(2, 4, 3, 3, requires_grad=True) for _ in range(3)]
    fusion(inputs).square().sum().backward()
    assert all(tensor.grad.abs().sum() > 0 for tensor in [*inputs, *fusion.parameters()])


@pytest.mark.parametrize("name", FUSIONS)
def test_every_fusion_exports(name: str):
    fusion, inputs = build(name).eval(), maps()
    exported = torch.export.export(fusion, (inputs,)).module()
    torch.testing.assert_close(exported(inputs), fusion(inputs))


@pytest.mark.parametrize("name", FUSIONS)
def test_every_fusion_keeps_half_precision(name: str):
    fused = build(name)([x.bfloat16() for x in maps()])
    assert fused.dtype == torch.bfloat16
