"""Graphs of pyramids: the published nodes, and what a cell really computes, by hand."""

import pytest
import torch
from torch import nn

from scantling.necks import Pyramid
from scantling.necks.graphs import GRAPHS, bidirectional, down_and_up, fully_connected, top_down
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


def test_fully_connected_joins_every_input_to_every_output():
    assert [(node.level, node.inputs) for node in fully_connected(3)] == [
        (level, (0, 1, 2)) for level in range(3)
    ]


@pytest.mark.parametrize("levels", range(2, 8))
@pytest.mark.parametrize("name", GRAPHS)
def test_every_graph_computes_every_level_from_what_is_there(name: str, levels: int):
    nodes = GRAPHS[name](levels)
    assert {node.level for node in nodes} == set(range(levels))
    for index, node in enumerate(nodes):
        assert max(node.inputs) < levels + index
    used = {source for node in nodes for source in node.inputs}
    assert set(range(levels)) <= used


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("name", GRAPHS)
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
