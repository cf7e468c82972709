"""TensorFlow's SAME padding: the odd pixel to the right and below."""

import pytest
import torch

from scantling.blocks import ConvNormAct, SamePad

# (side, kernel, stride) → pixels before and after; ⌈side / stride⌉ windows must fit exactly.
CASES = [
    (5, 3, 2, 1, 1),
    (6, 3, 2, 0, 1),
    (6, 5, 2, 1, 2),
    (7, 5, 2, 2, 2),
    (4, 2, 2, 0, 0),
    (5, 2, 2, 0, 1),
    (5, 1, 2, 0, 0),
    (6, 1, 2, 0, 0),
    (1, 3, 2, 1, 1),
    (7, 3, 1, 1, 1),
    (7, 4, 1, 1, 2),
    (8, 7, 4, 1, 2),
]


@pytest.mark.parametrize(("side", "kernel", "stride", "before", "after"), CASES)
def test_padding_is_that_of_tensorflow(side, kernel, stride, before, after):
    ones = torch.ones(1, 1, side, side)
    padded = SamePad(kernel, stride)(ones)[0, 0]
    for line in (padded.amax(dim=0), padded.amax(dim=1)):
        assert line.tolist() == [0.0] * before + [1.0] * side + [0.0] * after


def test_height_and_width_are_padded_each_on_its_own():
    assert SamePad(3, 2)(torch.zeros(1, 1, 5, 6)).shape == (1, 1, 7, 7)


def test_max_pooling_pads_with_nothing_that_could_win():
    padded = SamePad(3, 2, value=float("-inf"))(torch.full((1, 1, 6, 6), -9.0))
    assert torch.nn.functional.max_pool2d(padded, 3, 2).tolist() == [[[[-9.0] * 3] * 3]]


@pytest.mark.parametrize(("same_padding", "seen"), [(True, [0, 1, 2]), (False, [-1, 0, 1])])
def test_the_first_window_begins_where_the_padding_says(same_padding: bool, seen: list[int]):
    block = ConvNormAct(1, 1, kernel=3, stride=2, same_padding=same_padding).eval()
    x = torch.randn(1, 1, 6, 6, requires_grad=True)
    block(x)[0, 0, 0, 0].backward()
    touched = x.grad[0, 0].abs().sum(dim=0).nonzero().flatten().tolist()
    assert touched == [column for column in seen if column >= 0]
