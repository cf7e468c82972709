"""The fast Mish against PyTorch's, and its slope against finite differences."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from scantling.blocks import ConvNormAct
from scantling.blocks.activation import FastMish, mish, mish_gradient, use_fast_mish


class Plain(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return mish(x)

    @staticmethod
    def backward(ctx, gradient):
        return mish_gradient(*ctx.saved_tensors, gradient)


def test_the_slope_is_that_of_finite_differences():
    x = torch.linspace(-30, 18, 97, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(Plain.apply, (x,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_and_gradients_equal_those_of_pytorch(dtype: torch.dtype):
    x = torch.linspace(-100, 100, 10_001).to(dtype)
    one, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    mine, theirs = Plain.apply(one), F.mish(other)
    mine.sum().backward()
    theirs.sum().backward()
    near = {"rtol": 2e-6, "atol": 2e-6} if dtype == torch.float32 else {"rtol": 8e-3, "atol": 1e-2}
    torch.testing.assert_close(mine, theirs, **near)
    torch.testing.assert_close(one.grad, other.grad, **near)


@pytest.mark.slow
def test_the_compiled_one_equals_pytorch_in_every_memory_order():
    """Slow: it calls a C++ compiler."""
    network = nn.Sequential(ConvNormAct(3, 4), nn.Mish())
    assert use_fast_mish(network) == 2
    for shape in ((2, 3, 5, 7), (1, 3, 4, 4)):
        for order in (torch.contiguous_format, torch.channels_last):
            x = torch.randn(shape).to(memory_format=order)
            one, other = x.clone().requires_grad_(), x.clone().requires_grad_()
            FastMish()(one).square().sum().backward()
            F.mish(other).square().sum().backward()
            torch.testing.assert_close(FastMish()(x), F.mish(x))
            torch.testing.assert_close(one.grad, other.grad)
            assert FastMish()(x).is_contiguous(memory_format=order)
