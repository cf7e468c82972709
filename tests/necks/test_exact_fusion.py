"""The Exact Fusion Model: which maps a level sees, and what becomes of them, by hand."""

import pytest
import torch
from torch import nn

from scantling.errors import InvalidSpec
from scantling.necks import ExactFusion
from scantling.specs import NeckSpec


def test_a_level_takes_the_greatest_of_itself_and_its_neighbours():
    neck = ExactFusion((1,) * 4, NeckSpec(kind="exact-fusion", channels=(1,) * 4, depth=1))
    for fusion in neck.fusions:
        fusion.convs = nn.Identity()
        fusion.resample = nn.ModuleList(
            nn.AvgPool2d(2) if side < 0 else nn.Identity() for side in fusion.sides
        )
    levels = [
        torch.full((1, 1, side, side), value)
        for side, value in zip((16, 8, 4, 2), (4.0, 1.0, 2.0, 3.0), strict=True)
    ]
    found = [level.unique().tolist() for level in neck(levels)]
    assert found == [[4.0], [4.0], [3.0], [3.0]]  # a neighbour's neighbour is not seen


def test_settings_of_a_pyramid_are_refused():
    with pytest.raises(InvalidSpec, match="this kind has no fusion"):
        ExactFusion((8,) * 3, NeckSpec(kind="exact-fusion", channels=(8,) * 3, fusion="sum"))
