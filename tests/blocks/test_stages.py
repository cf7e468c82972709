"""Every stage keeps its promise: channels, stride, gradients, and inference with folded norms."""

import pytest
import torch

from scantling.blocks import ACTIVATIONS, STAGES, ConvNormAct, add_channels, fuse_norms
from scantling.blocks.spp import SpatialPyramidPool


def randomise_norms(module: torch.nn.Module) -> None:
    """Give every normalisation statistics that matter."""
    for norm in module.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(norm.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(norm.running_var, 0.5, 2.0)
            torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
            torch.nn.init.uniform_(norm.bias, -0.5, 0.5)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kind", STAGES)
def test_every_stage_sets_channels_and_stride(kind: str, stride: int):
    stage = STAGES[kind](32, 64, depth=2, stride=stride, activation="mish")
    assert stage(torch.zeros(2, 32, 8, 8)).shape == (2, 64, 8 // stride, 8 // stride)


@pytest.mark.parametrize("kind", STAGES)
def test_every_stage_passes_gradients_to_every_parameter(kind: str):
    torch.manual_seed(0)
    stage = STAGES[kind](32, 64, depth=2, stride=2, activation="mish")
    stage(torch.randn(2, 32, 8, 8)).square().sum().backward()
    assert all(
        parameter.grad is not None and parameter.grad.abs().sum() > 0
        for parameter in stage.parameters()
    )


@pytest.mark.parametrize("kind", STAGES)
def test_every_stage_predicts_the_same_with_folded_norms(kind: str):
    torch.manual_seed(0)
    stage = STAGES[kind](32, 64, depth=2, stride=2, activation="mish").eval()
    randomise_norms(stage)
    x = torch.randn(2, 32, 8, 8)
    with torch.inference_mode():
        expected = stage(x.clone())
        fuse_norms(stage)
        assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in stage.modules())
        torch.testing.assert_close(stage(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", STAGES)
def test_every_stage_exports(kind: str):
    stage = STAGES[kind](32, 64, depth=2, stride=2, activation="leaky").eval()
    x = torch.randn(1, 32, 8, 8)
    exported = torch.export.export(stage, (x,)).module()
    torch.testing.assert_close(exported(x), stage(x))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_no_activation_changes_what_it_is_given_through_a_convolution(activation: str):
    block = ConvNormAct(4, 4, activation=activation).eval()
    x = torch.randn(1, 4, 3, 3)
    before = x.clone()
    block(x)
    assert torch.equal(x, before)


def test_narrow_channels_are_added_to_the_first():
    summed = add_channels(torch.zeros(1, 3, 1, 1), torch.ones(1, 2, 1, 1))
    assert summed.flatten().tolist() == [1, 1, 0]


def test_pyramid_pool_puts_the_widest_window_first_and_the_input_last():
    x = torch.zeros(1, 1, 13, 13)
    x[0, 0, 6, 6] = 1
    counts = SpatialPyramidPool()(x).sum(dim=(2, 3)).flatten().tolist()
    assert counts == [13 * 13, 9 * 9, 5 * 5, 1]
