"""What is dropped in training: how much, in which shape, and that nothing is otherwise."""

import pytest
import torch
from torch import nn

from scantling.blocks import (
    DropBlock,
    DropConnect,
    DropPath,
    SpatialDropout,
    set_drop_connect,
    set_drop_path,
    set_progress,
)
from scantling.detector import build_detector
from scantling.specs import find_spec

ONES = torch.ones(8, 16, 20, 20)
EVERY = (lambda: DropBlock(0.2, size=3), lambda: SpatialDropout(0.2), lambda: DropPath(0.2))


def test_drop_block_blanks_whole_squares():
    torch.manual_seed(0)
    found = DropBlock(0.02, size=5)(ONES)[0, 0]
    blank = torch.argwhere(found == 0)
    while not len(blank):
        found = DropBlock(0.02, size=5)(ONES)[0, 0]
        blank = torch.argwhere(found == 0)
    top, left = blank[0].tolist()  # the first blank cell by row is the corner of its square
    assert not found[top : top + 5, left : left + 5].any()


@pytest.mark.parametrize("size", [1, 3, 7])
def test_drop_block_blanks_about_the_share_that_it_was_given(size: int):
    torch.manual_seed(0)
    found = DropBlock(0.1, size=size)(torch.ones(64, 32, 20, 20))
    # squares may overlap, so it is a little less
    assert 0.08 < (found == 0).float().mean() < 0.105


@pytest.mark.parametrize("make", EVERY)
def test_every_kind_keeps_the_mean_and_drops_in_training_only(make):
    torch.manual_seed(0)
    drop = make()
    x = torch.ones(256, 16, 10, 10)
    assert (drop(x) == 0).any()
    assert abs(drop(x).mean() - 1) < 0.1
    assert torch.equal(drop.eval()(x), x)


@pytest.mark.parametrize("make", EVERY)
def test_progress_of_nothing_drops_nothing(make):
    drop = make()
    set_progress(nn.Sequential(drop), 0.0)
    assert torch.equal(drop(ONES), ONES)


def test_spatial_dropout_blanks_whole_channels():
    torch.manual_seed(0)
    found = SpatialDropout(0.5)(ONES).flatten(2)
    assert ((found == 0).all(2) | (found != 0).all(2)).all()


def test_drop_path_leaves_a_branch_out_for_whole_images():
    torch.manual_seed(0)
    found = DropPath(0.5)(ONES).flatten(1)
    assert set(found.unique().tolist()) == {0.0, 2.0}
    assert ((found == 0).all(1) | (found == 2).all(1)).all()


@pytest.mark.parametrize("name", ["yolov4-csp", "efficientdet-d0", "yolov4-csresnext50"])
def test_drop_path_grows_with_depth_and_changes_training(name: str):
    network = build_detector(find_spec(name))
    assert set_drop_path(network, 0.9) > 5
    rates = [m.probability for m in network.modules() if isinstance(m, DropPath)]
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(0.9)
    x = torch.rand(1, 3, 64, 64)
    network.eval()
    assert torch.equal(network(x)[0], network(x)[0])
    torch.manual_seed(0)
    network.train()
    torch.manual_seed(1)
    one = network(x.expand(2, -1, -1, -1))[0]
    torch.manual_seed(2)
    assert not torch.equal(one, network(x.expand(2, -1, -1, -1))[0])


def test_drop_connect_zeroes_its_share_of_the_weights_and_scales_up_the_others():
    torch.manual_seed(0)
    conv = nn.Conv2d(1, 4000, 1, bias=False)
    nn.init.ones_(conv.weight)
    drop = DropConnect(conv, 0.25)
    found = drop(torch.ones(2, 1, 1, 1)).flatten(1)
    assert torch.equal(found[0], found[1])  # one mask for the batch
    torch.testing.assert_close(found.unique(), torch.tensor([0.0, 4 / 3]))
    assert (found[0] == 0).float().mean() == pytest.approx(0.25, abs=0.03)
    assert torch.equal(drop.eval()(torch.ones(1, 1, 1, 1)), torch.ones(1, 4000, 1, 1))


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", [(1, 2), "same"])
def test_drop_connect_pads_as_its_convolution(mode: str, padding):
    conv = nn.Conv2d(2, 3, 3, padding=padding, dilation=2, padding_mode=mode)
    x = torch.rand(1, 2, 9, 9)
    assert torch.equal(DropConnect(conv, 0.5).eval()(x), conv(x))


def test_drop_connect_shares_the_weights_and_passes_gradients_to_those_that_are_kept():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 8, 3), nn.Conv2d(8, 8, 3, groups=8))
    names, weight = list(network.state_dict()), network[0].weight
    assert set_drop_connect(network, 0.5) == 1  # a depthwise convolution keeps its weights
    assert list(network.state_dict()) == names
    assert network[0].weight is weight
    network(torch.rand(1, 2, 8, 8)).sum().backward()
    assert 0.2 < (weight.grad == 0).float().mean() < 0.8
