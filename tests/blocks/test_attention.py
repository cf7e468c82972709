"""Context blocks and attention: each on its own, by hand, and every entry of both tables."""

import math

import pytest
import torch
from test_stages import randomise_norms
from torch import nn

from scantling.blocks import (
    ATTENTIONS,
    CONTEXTS,
    AtrousPyramidPool,
    ModifiedSam,
    ReceptiveFieldBlock,
    SqueezeExcite,
    channel_attention,
    fuse_norms,
)


def build(name: str) -> tuple[nn.Module, int]:
    """An attention or a context for 32 channels, and the width of what it returns."""
    torch.manual_seed(0)
    if name in ATTENTIONS:
        return ATTENTIONS[name](32), 32
    block, widening = CONTEXTS[name](32, "mish")
    return block, 32 * widening


def reach(block: nn.Module, side: int) -> torch.Tensor:
    """How much each input point moves the middle of the output: (side, side)."""
    x = torch.randn(1, block_width(block), side, side, requires_grad=True)
    block.eval()(x)[0, :, side // 2, side // 2].sum().backward()
    return x.grad[0].abs().sum(dim=0)


def block_width(block: nn.Module) -> int:
    return next(part.in_channels for part in block.modules() if isinstance(part, nn.Conv2d))


@pytest.mark.parametrize("size", [(8, 8), (13, 9), (1, 1)])
@pytest.mark.parametrize("name", [*ATTENTIONS, *CONTEXTS])
def test_every_block_keeps_the_size_and_announces_its_width(name: str, size: tuple[int, int]):
    block, width = build(name)
    assert block.eval()(torch.randn(2, 32, *size)).shape == (2, width, *size)


@pytest.mark.parametrize("name", [*ATTENTIONS, *CONTEXTS])
def test_every_block_passes_gradients_to_every_parameter_and_to_its_input(name: str):
    block, _ = build(name)
    x = torch.randn(2, 32, 8, 8, requires_grad=True)
    block(x).square().sum().backward()
    assert all(tensor.grad.abs().sum() > 0 for tensor in [x, *block.parameters()])


@pytest.mark.parametrize("name", [*ATTENTIONS, *CONTEXTS])
def test_every_block_predicts_the_same_exported_and_with_folded_norms(name: str):
    block, _ = build(name)
    randomise_norms(block.eval())
    x = torch.randn(1, 32, 13, 9)
    with torch.inference_mode():
        expected = block(x)
    torch.testing.assert_close(torch.export.export(block, (x,)).module()(x), expected)
    fuse_norms(block)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in block.modules())
    torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-5)


def test_atrous_pool_looks_at_its_dilations_and_at_the_whole_image():
    seen = reach(AtrousPyramidPool(2, 8, dilations=(2, 5), activation="linear"), 15)
    everywhere = seen[0, 0]  # what the mean of the image sees of any point
    special = {(int(y) - 7, int(x) - 7) for y, x in ((seen - everywhere).abs() > 1e-6).nonzero()}
    assert everywhere > 0
    assert special == {(y * d, x * d) for d in (0, 2, 5) for y in (-1, 0, 1) for x in (-1, 0, 1)}


def test_atrous_pool_trains_on_one_image_of_one_cell_beside_larger_maps():
    pool = AtrousPyramidPool(4, 4).train()
    pool(torch.randn(1, 4, 2, 2)).sum().backward()
    assert pool.image.weight.grad is not None


@pytest.mark.parametrize(("kernels", "side"), [((1,), 3), ((3,), 9), ((5,), 15), ((1, 3, 5), 15)])
def test_receptive_field_grows_with_kernel_and_dilation(kernels: tuple[int, ...], side: int):
    # 3×3 of dilation 3 after a 3×3: 1 + 2 · (1 + 3); of dilation 5 after two: 1 + 2 · (2 + 5)
    seen = reach(ReceptiveFieldBlock(2, 16, kernels=kernels, activation="linear"), 21) > 0
    rows = seen.any(dim=1).nonzero().flatten()
    columns = seen.any(dim=0).nonzero().flatten()
    assert [int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1] == [side] * 2


def test_receptive_field_block_is_its_shortcut_where_the_branches_find_nothing():
    block = ReceptiveFieldBlock(4, 8).eval()
    nn.init.zeros_(block.merge.conv.weight)
    x = torch.randn(1, 4, 5, 5)
    torch.testing.assert_close(block(x), block.shortcut(x).relu())


@torch.no_grad()
def test_squeeze_and_excitation_weighs_channels_by_their_means():
    block = SqueezeExcite(2, 1, activation="relu")
    block.reduce.weight.copy_(torch.tensor([1.0, 1.0]).view(1, 2, 1, 1))
    block.expand.weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1))
    nn.init.zeros_(block.reduce.bias)
    nn.init.zeros_(block.expand.bias)
    x = torch.tensor([[[[0.0, 2.0]], [[1.0, 3.0]]]])  # means 1 and 2, so 3 is excited
    up, down = 1 / (1 + math.exp(-3)), 1 / (1 + math.exp(3))
    expected = torch.tensor([[[[0.0, 2 * up]], [[down, 3 * down]]]])
    torch.testing.assert_close(block(x), expected)


def test_channel_attention_squeezes_to_a_sixteenth():
    assert channel_attention(64).reduce.out_channels == 4
    assert channel_attention(8).reduce.out_channels == 1


@torch.no_grad()
def test_spatial_attention_masks_every_point_of_every_channel():
    block = ModifiedSam(2).eval()
    block.mask.conv.weight.copy_(torch.tensor([[0.0, 1.0], [0.0, 0.0]]).view(2, 2, 1, 1))
    x = torch.tensor([[[[6.0, 6.0]], [[0.0, math.log(3)]]]])
    expected = torch.tensor([[[[3.0, 4.5]], [[0.0, math.log(3) / 2]]]])
    torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-4)
