"""Graphs of pyramids: the published nodes, and what a cell really computes, by hand."""

import math

import pytest
import torch
from torch import nn

from scantling.errors import InvalidSpec
from scantling.necks import Pyramid
from scantling.necks.graphs import (
    GRAPHS,
    bidirectional,
    down_and_up,
    fully_connected,
    nas_fpn,
    top_down,
)
from scantling.specs import NeckSpec

# EfficientDet's BiFPN as published, P3 to P7 and P3 to P8: the inputs of each node.
BIFPN_5 = [(3, 4), (2, 5), (1, 6), (0, 7), (1, 7, 8), (2, 6, 9), (3, 5, 10), (4, 11)]
BIFPN_6 = [
    *[(4, 5), (3, 6), (2, 7), (1, 8), (0, 9)],
    *[(1, 9, 10), (2, 8, 11), (3, 7, 12), (4, 6, 13), (5, 14)],
]
# Levels of 1, 10 and 100 everywhere, added without convolutions, after one cell and after two.
SUMS = {
    "bifpn": [(111, 231, 331), (111 + 562, 231 + 562 + 673, 331 + 1466)],
    "fpn": [(111, 110, 100), (321, 210, 100)],
    "fully-connected-fpn": [(111, 111, 111), (333, 333, 333)],
    "panet": [(111, 221, 321), (653, 542 + 653, 321 + 1195)],
}


def test_bifpn_of_five_levels_is_the_published_one():
    nodes = bidirectional(5)
    assert [node.inputs for node in nodes] == BIFPN_5
    assert [node.level for node in nodes] == [3, 2, 1, 0, 1, 2, 3, 4]


def test_bifpn_of_six_levels_is_the_published_one():
    nodes = bidirectional(6)
    assert [node.inputs for node in nodes] == BIFPN_6
    assert [node.level for node in nodes] == [4, 3, 2, 1, 0, 1, 2, 3, 4, 5]


def test_top_down_starts_with_the_coarsest_alone():
    assert [(node.level, node.inputs) for node in top_down(4)] == [
        (3, (3,)),
        (2, (2, 4)),
        (1, (1, 5)),
        (0, (0, 6)),
    ]


def test_the_way_up_sees_the_way_down_and_not_the_input():
    assert [(node.level, node.inputs) for node in down_and_up(3)] == [
        *[(2, (2,)), (1, (1, 3)), (0, (0, 4))],
        *[(0, (5,)), (1, (4, 6)), (2, (3, 7))],
    ]


# NAS-FPN as published (figure 6 and the authors' networks), P3 to P7: level, inputs, fusion; the
# inputs that nothing else uses join the output of their level.
NAS_FPN = [
    (1, {1, 3}, "global-attention"),
    (1, {1, 5}, "sum"),
    (0, {0, 6}, "sum"),
    (1, {6, 7}, "sum"),
    (2, {2, 7, 8}, "global-attention"),
    (4, {4, 6, 9}, "global-attention"),
    (3, {9, 10}, "global-attention"),
]


def test_nas_fpn_is_the_published_one():
    nodes = nas_fpn(5)
    assert [(node.level, set(node.inputs), node.fusion) for node in nodes] == NAS_FPN
    levels = [*range(5), *(node.level for node in nodes)]
    for node in nodes:  # the coarser of the two gates the other; what is only added comes last
        if node.fusion == "global-attention":
            first, second, *added = node.inputs
            assert levels[first] > levels[second]
            assert all(levels[source] == node.level for source in added)


def test_nas_fpn_gates_and_adds_as_by_hand():
    neck = Pyramid((4,) * 5, NeckSpec(kind="nas-fpn", channels=(4,) * 5, depth=1))
    for node in neck.cells[0].nodes:
        node.conv = nn.Identity()
    values = [0.1, 0.2, 0.3, 0.4, 0.5]
    maps = [torch.full((1, 4, 2 ** (5 - n), 2 ** (5 - n)), value) for n, value in enumerate(values)]

    def gated(coarse: float, fine: float) -> float:
        return coarse + fine / (1 + math.exp(-coarse))

    first = gated(values[3], values[1])
    second = values[1] + first
    p3 = values[0] + second
    p4 = second + p3
    p5 = gated(p4, p3) + values[2]
    p7 = gated(p5, second) + values[4]
    p6 = gated(p7, p5)
    for found, expected in zip(neck(maps), (p3, p4, p5, p6, p7), strict=True):
        torch.testing.assert_close(found, torch.full_like(found, expected))


def test_nas_fpn_of_other_levels_or_fusions_is_refused():
    with pytest.raises(InvalidSpec, match="4 levels"):
        Pyramid((4,) * 3, NeckSpec(kind="nas-fpn", channels=(4,) * 4))
    with pytest.raises(InvalidSpec, match="fusions of its own"):
        Pyramid((4,) * 3, NeckSpec(kind="nas-fpn", channels=(4,) * 5, fusion="fast"))


def test_fully_connected_joins_every_input_to_every_output():
    assert [(node.level, node.inputs) for node in fully_connected(3)] == [
        (level, (0, 1, 2)) for level in range(3)
    ]


ANY_LEVELS = [name for name in GRAPHS if name != "nas-fpn"]
CASES = [("nas-fpn", 5), *((name, levels) for name in ANY_LEVELS for levels in range(2, 8))]


@pytest.mark.parametrize(("name", "levels"), CASES)
def test_every_graph_computes_every_level_from_what_is_there(name: str, levels: int):
    nodes = GRAPHS[name](levels)
    assert {node.level for node in nodes} == set(range(levels))
    for index, node in enumerate(nodes):
        assert max(node.inputs) < levels + index
    used = {source for node in nodes for source in node.inputs}
    assert set(range(levels)) <= used


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("name", ANY_LEVELS)
def test_every_graph_adds_up_by_hand_cell_after_cell(name: str, depth: int):
    spec = NeckSpec(kind=name, channels=(4, 4, 4), depth=depth, fusion="sum")
    neck = Pyramid((4, 4, 4), spec)
    for cell in neck.cells:
        for node in cell.nodes:
            node.conv = nn.Identity()
    sizes = [(13, 9), (7, 5), (4, 3)]
    levels = [torch.full((1, 4, *size), 10.0**index) for index, size in enumerate(sizes)]
    for output, size, expected in zip(neck(levels), sizes, SUMS[name][depth - 1], strict=True):
        assert torch.equal(output, torch.full((1, 4, *size), float(expected)))
