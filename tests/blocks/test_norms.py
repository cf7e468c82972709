"""Normalisations beside plain batch normalisation: each against a computation by hand."""

import copy

import pytest
import torch
from torch import nn

from scantling.blocks import (
    ConvNormAct,
    CrossIterationNorm,
    CrossMiniBatchNorm,
    FilterResponseNorm,
    begin_update,
    fuse_norms,
    set_norms,
)
from scantling.detector import build_detector
from scantling.specs import find_spec

KINDS = ("batch", "sync", "cross", "cross-mini")


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 3 + 1


def test_cmbn_of_one_mini_batch_is_batch_norm_to_the_bit():
    plain, cross = nn.BatchNorm2d(5, momentum=0.03), CrossMiniBatchNorm(5)
    x = images(4, 5, 6, 7)
    for _ in range(3):
        cross.begin()
        assert torch.equal(cross(x), plain(x))
    assert torch.equal(cross.running_mean, plain.running_mean)
    assert torch.equal(cross.running_var, plain.running_var)


def test_cmbn_normalises_by_all_mini_batches_of_the_update_so_far():
    norm = CrossMiniBatchNorm(3)
    parts = [images(2, 3, 4, 4, seed=seed) * (seed + 1) for seed in range(3)]
    norm.begin()
    for count, part in enumerate(parts, start=1):
        found = norm(part)
        so_far = torch.cat(parts[:count])
        mean = so_far.mean((0, 2, 3), keepdim=True)
        variance = so_far.var((0, 2, 3), unbiased=False, keepdim=True)
        torch.testing.assert_close(found, (part - mean) / (variance + norm.eps).sqrt())


def test_cmbn_forgets_the_update_before():
    network = nn.Sequential(CrossMiniBatchNorm(3))
    network(images(2, 3, 4, 4, seed=1) * 9)
    begin_update(network)
    x = images(2, 3, 4, 4)
    torch.testing.assert_close(network(x), nn.BatchNorm2d(3)(x))


def test_cbn_carries_earlier_means_over_to_the_weights_of_today_exactly():
    """A mean is linear in the weights, so its first derivative says all."""
    conv = nn.Conv2d(2, 4, 3, bias=False)
    norm = CrossIterationNorm(4, conv.weight, window=3)
    batches = [images(2, 2, 6, 6, seed=seed) for seed in range(3)]
    for batch in batches[:2]:
        norm(conv(batch))
        with torch.no_grad():
            conv.weight += 0.0001 * images(4, 2, 3, 3, seed=9)
    stale = [row[1] for row in norm.past]
    carried = norm._carried(conv.weight.detach())
    for (mean, square), old, batch in zip(carried, stale, batches[:2], strict=True):
        truth = conv(batch).detach()
        torch.testing.assert_close(mean, truth.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
        # the mean square is quadratic: the first derivative comes near, staying put does not
        now = truth.square().mean((0, 2, 3))
        assert (square - now).abs().max() < 0.05 * (old - now).abs().max()


def test_cbn_normalises_by_the_mean_over_its_window():
    conv = nn.Conv2d(2, 4, 1, bias=False)
    norm = CrossIterationNorm(4, conv.weight, window=2)
    first, second = images(2, 2, 5, 5, seed=1), images(2, 2, 5, 5, seed=2)
    norm(conv(first))
    found = norm(conv(second))
    both = torch.cat([conv(first), conv(second)])  # weights did not change: joint statistics
    mean = both.mean((0, 2, 3), keepdim=True)
    variance = both.var((0, 2, 3), unbiased=False, keepdim=True)
    torch.testing.assert_close(found, (conv(second) - mean) / (variance + norm.eps).sqrt())


def test_filter_response_is_what_the_paper_says():
    norm = FilterResponseNorm(2)
    x = images(1, 2, 2, 2)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([2.0, 3.0]))
        norm.bias.copy_(torch.tensor([0.5, -0.5]))
        norm.threshold.copy_(torch.tensor([-1.0, 0.25]))
    for channel in range(2):
        values = x[0, channel]
        root = (values.square().sum() / 4 + 1e-6).sqrt()
        scaled = norm.weight[channel] * values / root + norm.bias[channel]
        expected = torch.clamp(scaled, min=float(norm.threshold[channel].detach()))
        torch.testing.assert_close(norm(x)[0, channel], expected)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_keeps_weights_statistics_and_predictions(kind: str):
    network = nn.Sequential(ConvNormAct(3, 8, kernel=3), ConvNormAct(8, 4))
    network(images(4, 3, 8, 8))
    before = copy.deepcopy(network).eval()
    set_norms(network, kind)
    assert network.state_dict().keys() == before.state_dict().keys()
    x = images(2, 3, 8, 8, seed=3)
    torch.testing.assert_close(network.eval()(x), before(x))
    fuse_norms(network)
    torch.testing.assert_close(network(x), before(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["yolov4-tiny", "efficientdet-d0"])
def test_every_kind_learns_in_a_detector(name: str, kind: str):
    network = build_detector(find_spec(name)).train()
    set_norms(network, kind)
    for seed in range(2):
        raw = network(images(2, 3, 128, 128, seed=seed))
        sum(level.float().square().mean() for level in raw).backward()
    grads = [p.grad for p in network.parameters() if p.grad is not None]
    assert all(torch.isfinite(grad).all() for grad in grads)
    assert sum(bool(grad.any()) for grad in grads) > 0.9 * len(list(network.parameters()))


def test_a_spec_with_frn_has_no_batch_norm_and_does_not_depend_on_the_batch():
    spec = find_spec("yolov4-tiny").replace(norm="frn")
    network = build_detector(spec).train()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    x = images(2, 3, 64, 64)
    for alone, together in zip(network(x[:1]), network(x), strict=True):
        torch.testing.assert_close(alone[0], together[0], rtol=1e-3, atol=1e-4)
