"""Each kind of layer against its definition spelt out; `test_layers_opencv.py` asks OpenCV."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch.testing import assert_close

from scantling.darknet import DarknetNetwork
from scantling.darknet.layers import (
    ChannelMaxPool,
    DarknetDropBlock,
    LegacyReorg,
    LocalAveragePool,
    MaxPool,
    SpaceToDepth,
    WeightedShortcut,
)

Build = Callable[..., DarknetNetwork]


def conv(filters: int, size: int = 3, *, act: str = "leaky", norm: int = 1, more: str = "") -> str:
    return (
        f"[convolutional]\nbatch_normalize={norm}\nfilters={filters}\nsize={size}\nstride=1\n"
        f"pad=1\nactivation={act}\n{more}\n"
    )


def pool_by_hand(
    x: np.ndarray, size: int, stride: int, padding: int, join: Callable[[np.ndarray], float]
) -> np.ndarray:
    """Darknet's windows: they begin padding // 2 outside, and only what is inside counts."""
    height, width = x.shape
    rows, columns = ((side + padding - size) // stride + 1 for side in (height, width))
    made = np.empty((rows, columns), x.dtype)
    for row in range(rows):
        for column in range(columns):
            top, left = row * stride - padding // 2, column * stride - padding // 2
            window = x[max(0, top) : top + size, max(0, left) : left + size]
            made[row, column] = join(window)
    return made


@given(
    size=st.integers(1, 5),
    stride=st.integers(1, 4),
    padding=st.integers(0, 8),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
)
@settings(deadline=None)
def test_pooling_takes_darknets_windows(
    size: int, stride: int, padding: int, height: int, width: int
):
    if padding - padding // 2 > size - 1 or min(height, width) + padding < size:
        return  # refused where the network is built
    x = np.random.default_rng(0).normal(size=(height, width)).astype(np.float32)
    for pool, join in ((MaxPool, np.max), (LocalAveragePool, np.mean)):
        ours = pool(size, (stride, stride), padding)(torch.from_numpy(x)[None, None])[0, 0]
        expected = pool_by_hand(x, size, stride, padding, join)
        assert_close(ours, torch.from_numpy(expected))


def test_maxpool_depth_takes_channels_that_lie_apart():
    x = torch.tensor([3.0, 1, 2, 5]).view(1, 4, 1, 1)
    assert ChannelMaxPool(2)(x).flatten().tolist() == [3, 5]  # of 0 and 2, of 1 and 3


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_reorg3d_puts_each_place_of_a_cell_into_channels(stride: int):
    channels, rows, columns = 3, 2, 4
    x = torch.randn(2, channels, rows * stride, columns * stride)
    made = SpaceToDepth(stride)(x)
    assert made.shape == (2, channels * stride**2, rows, columns)
    for channel in range(channels * stride**2):
        down, right = divmod(channel // channels, stride)
        assert made[:, channel].equal(x[:, channel % channels, down::stride, right::stride])


def test_legacy_reorg_keeps_every_value():
    x = torch.arange(4 * 4 * 4.0).view(1, 4, 4, 4)
    made = LegacyReorg(2)(x)
    assert made.shape == (1, 16, 2, 2)
    assert made.flatten().sort().values.equal(x.flatten())


@pytest.mark.parametrize(
    ("normalization", "weights"),
    [
        ("none", [1.0, -2.0, 0.5]),
        ("relu", [1 / 1.5001, 0.0, 0.5 / 1.5001]),
        (
            "softmax",
            [
                1 / (1e-4 + 1 + np.exp(-3) + np.exp(-0.5)),
                np.exp(-3) / (1e-4 + 1 + np.exp(-3) + np.exp(-0.5)),
                np.exp(-0.5) / (1e-4 + 1 + np.exp(-3) + np.exp(-0.5)),
            ],
        ),
    ],
)
def test_weighted_shortcuts_weigh_as_darknet_does(normalization: str, weights: list[float]):
    layer = WeightedShortcut(3, 1, normalization=normalization, activation="linear")
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, -2.0, 0.5]).view(3, 1, 1, 1))
    previous, wide, narrow = (torch.randn(2, channels, 3, 3) for channels in (4, 6, 2))
    expected = weights[0] * previous + weights[1] * wide[:, :4]
    expected[:, :2] += weights[2] * narrow
    assert_close(layer(previous, wide, narrow), expected)


def test_weights_per_channel_weigh_each_channel():
    layer = WeightedShortcut(2, 3, normalization="none", activation="relu")
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 2, 3], [4, 5, -6]]).view(2, 3, 1, 1))
    ones = torch.ones(1, 3, 1, 1)
    assert layer(ones, ones).flatten().tolist() == [5, 7, 0]
    layer(ones, ones).sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.flatten().tolist() == [1, 1, 0, 1, 1, 0]


def test_a_convolution_is_logistic_unless_it_says_otherwise(build: Build):
    network = build("[convolutional]\nfilters=8\n").eval()
    x = torch.rand(1, 3, 32, 32)
    plain = torch.nn.functional.conv2d(x, *network.layers[0][0].parameters())
    assert_close(network(x)[0], network.layers[1](plain.sigmoid()))


def test_a_pooling_window_is_as_large_as_its_stride_unless_it_says_otherwise(build: Build):
    network = build("[maxpool]\nstride=2\n").eval()
    x = torch.rand(1, 3, 32, 32)
    pooled = x.unflatten(3, (16, 2)).unflatten(2, (16, 2)).amax(dim=(3, 5))
    assert_close(network(x)[0], network.layers[1](pooled))


def test_a_shortcut_adds_all_that_it_lists(build: Build):
    network = build(conv(8) + conv(4) + conv(8) + "[shortcut]\nfrom=-2, 0\nactivation=linear\n")
    x = torch.rand(1, 3, 32, 32)
    network.eval()
    first = network.layers[0](x)
    second = network.layers[1](first)
    third = network.layers[2](second)
    expected = third + first
    expected[:, :4] += second
    assert_close(network(x)[0], network.layers[4](expected))


def test_route_takes_one_slice_of_each_source(build: Build):
    network = build(conv(8) + conv(4) + "[route]\nlayers=-1,0\ngroups=4\ngroup_id=3\n").eval()
    first = network.layers[0](torch.rand(1, 3, 32, 32))
    second = network.layers[1](first)
    expected = torch.cat([second[:, 3:], first[:, 6:]], dim=1)
    assert_close(network.layers[2](second, first), expected)


def test_upsample_scales(build: Build):
    network = build("[upsample]\nscale=.5\n" + "[maxpool]\nstride=2\n").eval()
    x = torch.rand(1, 3, 32, 32)
    assert_close(network(x)[0], network.layers[2](x * 0.5))


def test_scale_channels_takes_a_spatial_mask(build: Build):
    mask = conv(1, 1, act="logistic", norm=0)
    network = build(conv(8) + mask + "[scale_channels]\nfrom=-2\nscale_wh=1\n").eval()
    features = network.layers[0](torch.rand(1, 3, 32, 32))
    made = network.layers[2](network.layers[1](features), features)
    assert_close(made, features * network.layers[1](features))


def test_a_dilated_kernel_is_a_larger_one_with_gaps(build: Build):
    dilated, dense = build(conv(8, more="dilation=2")).eval(), build(conv(8, 5)).eval()
    with torch.no_grad():
        dense.layers[0].conv.weight.zero_()
        dense.layers[0].conv.weight[:, :, ::2, ::2] = dilated.layers[0].conv.weight
        dense.layers[1].load_state_dict(dilated.layers[1].state_dict())
    x = torch.rand(1, 3, 32, 32)
    assert_close(dilated(x)[0], dense(x)[0])


def test_strides_may_differ_if_the_cells_are_square_in_the_end(build: Build):
    network = build(conv(8, more="stride_x=2") + "[maxpool]\nsize=2\nstride_y=2\n").eval()
    assert network(torch.rand(1, 3, 32, 32))[0].shape == (1, 24, 16, 16)
    assert network.strides == (2,)


def test_shared_weights_are_one_set_of_weights(build: Build):
    shared = conv(8) + conv(8) + conv(8, act="mish", more="dilation=2\nshare_index=-1")
    network = build(shared)
    own = build(conv(8) + conv(8) + conv(8, act="mish", more="dilation=2"))
    own.layers[2].load_state_dict(own.layers[1].state_dict())
    own.layers[0].load_state_dict(network.layers[0].state_dict())
    own.layers[3].load_state_dict(network.layers[3].state_dict())
    for layer in (1, 2):
        own.layers[layer].load_state_dict(network.layers[1].state_dict())
    x = torch.rand(2, 3, 32, 32)
    assert_close(network.eval()(x)[0], own.eval()(x)[0])
    parameters = [sum(p.numel() for p in each.parameters()) for each in (network, own)]
    assert parameters[1] - parameters[0] == 8 * 8 * 9 + 16


def test_an_activation_leaves_what_it_reads_to_others(build: Build):
    network = build(conv(8) + "[activation]\nactivation=relu\n[empty]\n[route]\nlayers=-1,0\n")
    network.eval()
    x = torch.rand(1, 3, 32, 32)
    features = network.layers[0](x)
    expected = network.layers[4](torch.cat([features.clamp(min=0), features], dim=1))
    assert_close(network(x)[0], expected)


def test_dropout_acts_in_training_only(build: Build):
    for options in ("probability=.5", "dropblock=1\nprobability=.9\ndropblock_size_rel=.2"):
        network = build(conv(8) + f"[dropout]\n{options}\n")
        features = torch.ones(2, 8, 16, 16)
        dropout = network.layers[1]
        assert dropout.train()(features).ne(1).any()
        assert dropout.eval()(features).equal(features)


def test_dropblock_blanks_one_square_of_a_channel_and_makes_good_for_it():
    torch.manual_seed(0)
    block = DarknetDropBlock(1e9, size=3, relative=0)  # every channel is hit
    x = torch.ones(4, 6, 8, 9, requires_grad=True)
    made = block.train()(x)
    assert made.eq(0).sum(dim=(2, 3)).eq(9).all()
    assert made.eq(0).any(dim=3).sum(dim=2).eq(3).all()  # three rows
    assert_close(made.mean(dim=(1, 2, 3)), torch.ones(4))
    made.sum().backward()
    assert x.grad is not None
    assert x.grad[made == 0].eq(0).all()


def test_dropblock_grows_with_progress():
    torch.manual_seed(0)
    block = DarknetDropBlock(0.3, size=4, relative=0).train()
    x = torch.ones(64, 64, 10, 10)
    share = block(x).eq(0).float().mean().item()
    # a channel is hit with 1 − (1 − 0.3 / 16)¹⁰⁰, and loses 16 of its 100 values
    assert share == pytest.approx((1 - (1 - 0.3 / 16) ** 100) * 0.16, rel=0.05)
    block.progress = 0.0
    assert block(x).equal(x)
